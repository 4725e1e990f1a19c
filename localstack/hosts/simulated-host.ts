import { createPublicKey, randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { simulatedDriver } from "../../agent/drivers/simulated.ts";
import { replaceFile } from "../../agent/host/files.ts";
import { type CardCounts, stockCards } from "../../agent/host/memory-kernel/cards.ts";
import { type MemoryKernel, memoryKernel } from "../../agent/host/memory-kernel/kernel.ts";
import type { KernelState } from "../../agent/host/memory-kernel/state.ts";
import { hypervisors } from "../../agent/hypervisors/index.ts";
import { agentKey, readIdentity } from "../../agent/identity.ts";
import { joinCloud } from "../../agent/join.ts";
import { type Log, systemClock, systemSleep } from "../../agent/runtime.ts";
import { type Agent, startAgent } from "../../agent/start.ts";

/** A simulated compute node: a kernel in memory that survives restarts, and a real agent on it. */
export interface SimulatedHost {
  readonly name: string;
  readonly id: string;
  readonly agent: Agent;
  readonly kernel: MemoryKernel;
  stop(): Promise<void>;
}

/** What a simulated host is started with. */
export interface HostOptions {
  readonly name: string;
  /** Base URL of the cloud. */
  readonly url: string;
  /** Where its socket connects; below `url` when left out. */
  readonly socketUrl?: string;
  /** Folder of this host alone. */
  readonly dir: string;
  readonly cards?: CardCounts;
  /** How many times faster than a real card bitstreams go in; Infinity for no waiting. */
  readonly speed?: number;
  readonly log?: Log;
  /** Asks the cloud for a one-time join token; called only when this host has not joined yet. */
  readonly newToken: (name: string) => Promise<string>;
}

/** Starts a host: joins with a one-time token the first time, comes back as itself afterwards. */
export async function startSimulatedHost(options: HostOptions): Promise<SimulatedHost> {
  const { name, dir } = options;
  const stateDir = join(dir, "agent");
  const kernel = openKernel(options);
  const known = await readIdentity(stateDir);
  const identity = known ?? (await joinAs(options, stateDir, kernel));
  const agent = await startAgent({
    hostId: identity.host,
    key: await agentKey(stateDir, false),
    // Ports of an offline cloud may change between two runs; the host stays who it is.
    cloud: { socketUrl: options.socketUrl ?? socketUrlOf(options.url), httpUrl: options.url },
    stateDir,
    driver: simulatedDriver({ hostId: identity.host, port: kernel, pr: kernel }),
    hypervisors: hypervisors({
      cdi: { directory: join(dir, "cdi") },
      qemu: { directory: join(dir, "qmp") },
    }),
    kernel,
    clock: systemClock,
    random: Math.random,
    sleep: systemSleep,
    log: options.log ?? (() => undefined),
    permitKey: createPublicKey(identity.permitKey),
    ...(identity.imageOrigins === undefined ? {} : { allowedOrigins: identity.imageOrigins }),
    localSocket: join(dir, "agent.sock"),
  });
  return { name, id: identity.host, agent, kernel, stop: async () => await agent.stop() };
}

async function joinAs(options: HostOptions, stateDir: string, kernel: MemoryKernel) {
  return await joinCloud({
    url: options.url,
    token: await options.newToken(options.name),
    stateDir,
    nodeName: options.name,
    kernel,
    fetch: globalThis.fetch,
  });
}

function socketUrlOf(url: string): string {
  return `${url.replace(/^http/, "ws")}/agent/v1/socket`;
}

function openKernel({ dir, name, cards, speed }: HostOptions): MemoryKernel {
  const file = join(dir, "kernel.json");
  const snapshot = existsSync(file)
    ? (JSON.parse(readFileSync(file, "utf8")) as KernelState)
    : undefined;
  return memoryKernel({
    cards: stockCards(cards),
    bootId: randomUUID(),
    machineId: machineIdOf(name),
    persist: async (state) => {
      await replaceFile(file, JSON.stringify(state));
    },
    ...(snapshot === undefined ? {} : { snapshot }),
    ...(speed === undefined ? {} : { speed }),
  });
}

/** A machine id per name, so that a host comes back on the machine it joined from. */
function machineIdOf(name: string): string {
  const hex = Buffer.from(name).toString("hex").padEnd(32, "0").slice(0, 32);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}
