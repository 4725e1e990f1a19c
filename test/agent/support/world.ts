import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeGbs } from "#protocol/images/encode-gbs";
import { deployableId, uuidOf } from "#protocol/uuid";
import type { Report } from "#protocol/wire/messages";
import type { ImageReference } from "#protocol/wire/shapes";
import type { CardMemory } from "../../../agent/drivers/card-family.ts";
import type { Driver } from "../../../agent/drivers/driver.ts";
import { simulatedDriver } from "../../../agent/drivers/simulated.ts";
import { type Files, nodeFiles } from "../../../agent/host/files.ts";
import { type CardDescription, dflCard } from "../../../agent/host/memory-kernel/cards.ts";
import { type MemoryKernel, memoryKernel } from "../../../agent/host/memory-kernel/kernel.ts";
import type { Hypervisor } from "../../../agent/hypervisors/hypervisor.ts";
import { without } from "../../../agent/memory/without.ts";
import type { AgentOptions } from "../../../agent/options.ts";
import { type Agent, startAgent } from "../../../agent/start.ts";
import { ScriptedCloud } from "./scripted-cloud.ts";
import { VirtualTime } from "./virtual-time.ts";

/** A host of simulated cards, a scripted cloud, and time; agents come and go. */
export interface World {
  readonly hostId: string;
  readonly key: KeyObject;
  readonly permitKey: KeyObject;
  readonly signingKey: KeyObject;
  readonly time: VirtualTime;
  readonly cloud: ScriptedCloud;
  readonly kernel: MemoryKernel;
  readonly guests: Guests;
  readonly stateDir: string;
  /** Id of `port0` of the first card, which has the handle `vf0`. */
  readonly port0: string;
  readonly port1: string;
  readonly logs: { readonly event: string; readonly facts: unknown }[];
  /** Where the driver writes down what it remembers of cards. */
  readonly disk: { full: boolean };
  readonly image: (name: string) => ImageReference;
  /** Starts an agent with options changed, and some left out. */
  readonly start: (
    changes?: Partial<AgentOptions>,
    left?: readonly (keyof AgentOptions)[],
  ) => Promise<Agent>;
  /** Starts an agent that can be thrown away with everything it has in memory. */
  readonly startMortal: (changes?: Partial<AgentOptions>) => Promise<Mortal>;
  readonly report: (deployable?: string) => Report | undefined;
  close(): Promise<void>;
}

/** An agent that loses hold of the world when it is killed. */
interface Mortal {
  readonly agent: Promise<Agent>;
  kill(): void;
}

/** A hypervisor whose guests open the VFIO group, as QEMU does. */
class Guests implements Hypervisor {
  readonly name = "libvirt";
  readonly calls: string[] = [];
  /** Codes to fail the next calls with. */
  readonly failures: Error[] = [];
  readonly #kernel: MemoryKernel;
  readonly #plugged = new Map<string, string>();

  constructor(kernel: MemoryKernel) {
    this.#kernel = kernel;
  }

  plug: Hypervisor["plug"] = async (handle, target) => {
    this.calls.push(`plug ${handle.name}`);
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    const node = `/dev/vfio/${handle.iommuGroup}`;
    if (!this.#plugged.has(handle.address)) {
      await this.#kernel.open(node, { pid: 4711, command: `qemu ${target.domain ?? ""}` });
      this.#plugged.set(handle.address, node);
    }
    return { hypervisor: "libvirt", pciAddress: handle.address, xml: "<hostdev/>" };
  };

  unplug: Hypervisor["unplug"] = async (handle) => {
    this.calls.push(`unplug ${handle.name}`);
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    const node = this.#plugged.get(handle.address);
    if (node !== undefined) await this.#kernel.close(node, 4711);
    this.#plugged.delete(handle.address);
  };

  /** The host was switched off: no guest runs. */
  forget(): void {
    this.#plugged.clear();
  }
}

export const bootIds = [uuidOf("boot", "1"), uuidOf("boot", "2"), uuidOf("boot", "3")] as const;

/** Makes a world. Every test closes its own. */
export async function makeWorld(cards: readonly CardDescription[] = [dflCard(0)]): Promise<World> {
  const time = new VirtualTime();
  const { privateKey: key } = generateKeyPairSync("ed25519");
  const permit = generateKeyPairSync("ed25519");
  const hostId = uuidOf("host", "world");
  const stateDir = await mkdtemp(join(tmpdir(), "gatehouse-agent-"));
  const kernel = memoryKernel({
    cards,
    bootId: bootIds[0],
    sleep: time.sleep,
    speed: Number.POSITIVE_INFINITY,
  });
  const cloud = new ScriptedCloud(key, () =>
    Math.floor(Date.UTC(2030, 0, 1) + time.clock.monotonic()),
  );
  const guests = new Guests(kernel);
  const logs: { event: string; facts: unknown }[] = [];
  const facts = new Map<string, object>();
  const disk = { full: false };
  const memory: CardMemory = {
    recall: (id) => facts.get(id),
    remember(id, what) {
      if (!disk.full) facts.set(id, what);
      return !disk.full;
    },
  };
  const base = (): AgentOptions => ({
    hostId,
    key,
    cloud: { socketUrl: "ws://cloud.test", httpUrl: "https://cloud.test" },
    stateDir,
    driver: simulatedDriver({ hostId, port: kernel, pr: kernel, sleep: time.sleep, memory }),
    hypervisors: [guests],
    kernel,
    clock: time.clock,
    random: Math.random,
    sleep: time.sleep,
    log: (event, facts) => {
      logs.push({ event, facts });
    },
    machine: "machine",
    permitKey: permit.publicKey,
    allowedOrigins: ["https://bucket.test"],
    webSocket: cloud.webSocket,
    fetch: cloud.fetch,
  });
  const running: Agent[] = [];
  const probe = await base().driver.discover();
  const cardId = probe.devices[0]?.cardId ?? "";
  return {
    hostId,
    key,
    permitKey: permit.publicKey,
    signingKey: permit.privateKey,
    time,
    cloud,
    kernel,
    guests,
    stateDir,
    port0: deployableId(hostId, cardId, "port0"),
    port1: deployableId(hostId, cardId, "port1"),
    logs,
    disk,
    image: (name) => makeImage(cloud, name),
    async start(changes = {}, left = []) {
      const agent = await startAgent(without({ ...base(), ...changes }, ...left) as AgentOptions);
      running.push(agent);
      return agent;
    },
    async startMortal(changes = {}) {
      const options = { ...base(), ...changes };
      const life = new Life();
      return {
        agent: startAgent({
          ...options,
          driver: life.gated<Driver>(options.driver),
          kernel: life.gated(options.kernel),
          hypervisors: options.hypervisors.map((one) => life.gated(one)),
          files: life.gated<Files>(nodeFiles),
          sleep: (ms, signal) => life.guard(() => options.sleep(ms, signal)),
          failpoint: (name) => life.guard(async () => await changes.failpoint?.(name)),
        }),
        kill: () => {
          life.over = true;
          for (const socket of cloud.sockets) socket.end(1006);
        },
      };
    },
    report: (deployable) => cloud.of(deployable ?? deployableId(hostId, cardId, "port0")),
    async close() {
      cloud.mishaps.away = true;
      await Promise.all(
        running.map(async (agent) => {
          await agent.stop();
        }),
      );
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

/** Calls that are never heard of again once the life is over. */
class Life {
  over = false;

  gated<Port extends object>(port: Port): Port {
    return new Proxy(port, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        return (...given: unknown[]) =>
          this.guard(() => Reflect.apply(member, target, given) as Promise<unknown>);
      },
    });
  }

  async guard<Value>(call: () => Promise<Value>): Promise<Value> {
    if (this.over) return await new Promise<never>(() => undefined);
    const value = await call();
    if (this.over) return await new Promise<never>(() => undefined);
    return value;
  }
}

/** An image in the cloud's bucket at `origin`. */
export function makeImage(
  cloud: ScriptedCloud,
  name: string,
  origin = "https://bucket.test",
): ImageReference {
  const interfaceId = dflCard(0).interfaceId;
  const functionId = uuidOf("function", name);
  const bytes = encodeGbs({
    interfaceId,
    functionId,
    name,
    payload: Buffer.from(`bits of ${name}`),
  });
  const url = `${origin}/${name}?signature=secret`;
  cloud.images.set(url, bytes);
  return {
    id: uuidOf("image", name),
    url,
    size: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    md5: createHash("md5").update(bytes).digest("hex"),
    format: "gbs",
    vendor: "intel",
    type: "crypto",
    interfaceId,
    functionId,
  };
}

/** A claim of a handle, by a name. */
export function claimOf(name: string) {
  return { id: uuidOf("claim", name), project: "project" };
}
