import { join } from "node:path";
import { WebSocket } from "ws";
import { signAgentToken } from "#protocol/agent-token";
import { protocolVersion } from "#protocol/wire/shapes";
import { Discoverer } from "./discovery.ts";
import { nodeFiles, privateFolder } from "./host/files.ts";
import { type ImageCache, openImageCache } from "./host/image-cache.ts";
import { bootIdOf, machineOf } from "./machine.ts";
import type { AgentOptions } from "./options.ts";
import type { Deadlines, Equipment } from "./reconcile/ports.ts";
import { Reconciler } from "./reconcile/reconciler.ts";
import type { ReportBody } from "./reconcile/report.ts";
import type { Runtime } from "./runtime.ts";
import { pollLinks } from "./session/poll-link.ts";
import { Session } from "./session/session.ts";
import { socketLinks } from "./session/socket-link.ts";
import { TrustedClock } from "./trusted-clock.ts";
import { agentVersion } from "./version.ts";

const defaultCacheBytes = 4 * 1024 ** 3;
/** A program may take this long (host.md §2.2), an erase clears memory as well. */
export const defaultDeadlines: Deadlines = { program: 120_000, scrub: 180_000 };
/** Bound of a driver change or reset, ms (host.md §3.1). */
const kernelWriteMs = 120_000;
/** The parts of an agent, joined but not started. */
export interface Assembly {
  readonly bootId: string;
  readonly runtime: Runtime;
  readonly trustedClock: TrustedClock;
  readonly reconciler: Reconciler;
  readonly session: Session;
  readonly discoverer: Discoverer;
  /** What was last told of each deployable. */
  readonly bodies: ReadonlyMap<string, ReportBody>;
}

/** Builds the parts. Rejects when the state folder or the boot id cannot be read. */
export async function assemble(options: AgentOptions): Promise<Assembly> {
  const runtime = runtimeOf(options);
  const bootId = await bootIdOf(options.kernel);
  const trustedClock = new TrustedClock(runtime.clock);
  await privateFolder(options.stateDir, options.files);
  const bodies = new Map<string, ReportBody>();
  /** Of each handle's address in the last scan, its driver. */
  const drivers = new Map<string, string>();
  const reconciler = new Reconciler({
    bootId,
    records: {
      stateDir: options.stateDir,
      files: options.files ?? nodeFiles,
      failpoint: runtime.failpoint,
    },
    equipment: await equip(options, runtime, drivers),
    publish: (body, toCloud) => {
      bodies.set(body.deployable, body);
      if (toCloud) session.report(body);
    },
    rescan: () => discoverer.scan(),
    trustedClock,
    answer: (answer) => session.answer(answer),
  });
  const session = await openSession(options, { runtime, trustedClock, reconciler, bootId });
  const discoverer = new Discoverer(options.driver, runtime, async (discovery) => {
    drivers.clear();
    for (const { driver, deployables } of discovery.devices) {
      for (const { handles } of deployables) {
        for (const { address } of handles) drivers.set(address, driver);
      }
    }
    session.inventory(discovery.devices);
    await reconciler.discovered(discovery);
  });
  return { bootId, runtime, trustedClock, reconciler, session, discoverer, bodies };
}

function runtimeOf({ clock, random, sleep, log, failpoint }: AgentOptions): Runtime {
  return {
    clock,
    random,
    // Waiting is over when it is aborted; nobody here wants to hear of it as an error.
    sleep: (ms, signal) => sleep(ms, signal).catch(() => undefined),
    log,
    failpoint: failpoint ?? (() => undefined),
  };
}

async function equip(
  options: AgentOptions,
  runtime: Runtime,
  drivers: ReadonlyMap<string, string>,
): Promise<Equipment> {
  const { clock, sleep } = runtime;
  return {
    driver: options.driver,
    hypervisors: options.hypervisors,
    kernel: options.kernel,
    vfio: {
      port: options.kernel,
      sleep,
      deadlineMs: kernelWriteMs,
      allowed: (address) => drivers.has(address),
      // A scan has cards of such classes only by the operator's list or by their drivers' evidence.
      anyClass: (address) => drivers.has(address),
    },
    images: vouched(
      options.vouch,
      await openImageCache({
        folder: join(options.stateDir, "images"),
        capBytes: options.cacheBytes ?? defaultCacheBytes,
        fetch: options.fetch ?? globalThis.fetch,
        allowedOrigins: options.allowedOrigins ?? [],
        trust: options.trust ?? {
          signature: "optional",
          keyOf: () => undefined,
          now: () => new Date(clock.wall()),
        },
        sleep,
        ...(options.files === undefined ? {} : { files: options.files }),
      }),
    ),
    key: options.key,
    deadlines: options.deadlines ?? defaultDeadlines,
    runtime,
  };
}

/** Verified bytes are told on before anybody can be asked to load them. */
function vouched(vouch: AgentOptions["vouch"], images: ImageCache): ImageCache {
  if (vouch === undefined) return images;
  return {
    ...images,
    async verify(image, place) {
      const verified = await images.verify(image, place);
      vouch(verified.bytes, image);
      return verified;
    },
  };
}

async function openSession(
  options: AgentOptions,
  parts: Pick<Assembly, "runtime" | "trustedClock" | "reconciler" | "bootId">,
): Promise<Session> {
  const { runtime, trustedClock, reconciler, bootId } = parts;
  const { hostId: host, cloud, key } = options;
  const machine = options.machine ?? (await machineOf(options.kernel));
  const token = () => signAgentToken({ host, machine, bootId }, key, trustedClock.signingTime());
  return new Session({
    runtime,
    trustedClock,
    reconciler,
    token,
    sockets: socketLinks(options.webSocket ?? WebSocket, cloud.socketUrl),
    polls: pollLinks({
      fetch: options.fetch ?? globalThis.fetch,
      httpUrl: cloud.httpUrl,
      runtime,
      token,
    }),
    identity: {
      host,
      agentVersion,
      protocol: protocolVersion,
      bootId,
      capabilities: ["program", "scrub", "plug", "replug", "card-operations"],
    },
  });
}
