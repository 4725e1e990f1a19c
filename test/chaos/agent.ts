import { createPublicKey, randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { simulatedDriver } from "../../agent/drivers/simulated.ts";
import { replaceFile } from "../../agent/host/files.ts";
import { stockCards } from "../../agent/host/memory-kernel/cards.ts";
import { type MemoryKernel, memoryKernel } from "../../agent/host/memory-kernel/kernel.ts";
import type { KernelState } from "../../agent/host/memory-kernel/state.ts";
import { hypervisors } from "../../agent/hypervisors/index.ts";
import { agentKey, readIdentity } from "../../agent/identity.ts";
import { joinCloud } from "../../agent/join.ts";
import type { AgentOptions } from "../../agent/options.ts";
import { systemClock, systemSleep } from "../../agent/runtime.ts";
import { startAgent } from "../../agent/start.ts";
import { type Failpoints, openFailpoints } from "./failpoints.ts";
import { fullDisk } from "./full-disk.ts";
import { startGuests } from "./guests.ts";
import { holdLifeline, settingsOf } from "./lifeline.ts";
import { lyingDriver } from "./lying-driver.ts";

/** What an agent's process is told. */
export interface AgentSettings {
  readonly name: string;
  /** The cloud, as this host reaches it: through its own way. */
  readonly url: string;
  readonly dir: string;
  readonly machineId: string;
  readonly cards: Readonly<Record<"dfl" | "sriov", number>>;
  /** For the first start; later ones come back as who they are. */
  readonly joinToken?: string;
  /** The host lost power before this start: another boot id, drivers as after a cold start. */
  readonly rebooted: boolean;
  /** How many times shorter than in earnest the agent's waits are: pings, backoff, retries. */
  readonly haste: number;
}

/** Where a host's kernel is kept between two lives of its agent. */
export const kernelFile = (dir: string): string => join(dir, "kernel.json");

/** The agent's own memory. */
export const stateDirOf = (dir: string): string => join(dir, "agent");

async function main(): Promise<void> {
  holdLifeline();
  const settings = settingsOf<AgentSettings>();
  const failpoints = openFailpoints(process.env["GATEHOUSE_FAILPOINTS"] ?? "", Math.random);
  const kernel = await openKernel(settings);
  const options = await optionsOf(settings, kernel, failpoints);
  await failpoints.pass("agent.start");
  const agent = await startAgent(options);
  const guests = startGuests(agent, kernel, options.driver);
  process.once("SIGTERM", () => {
    guests.stop();
    void agent.stop().then(() => process.exit(0));
  });
  process.stdout.write(`ready ${options.hostId}\n`);
}

/** Programs under way at a kill have ended: the kernel went on. Guests of the last life are gone. */
async function openKernel(settings: AgentSettings): Promise<MemoryKernel> {
  const file = kernelFile(settings.dir);
  const snapshot = existsSync(file)
    ? (JSON.parse(readFileSync(file, "utf8")) as KernelState)
    : undefined;
  const kernel = memoryKernel({
    cards: stockCards(settings.cards),
    bootId: randomUUID(),
    machineId: settings.machineId,
    persist: async (state) => await replaceFile(file, JSON.stringify(state)),
    speed: 4,
    ...(snapshot === undefined ? {} : { snapshot }),
  });
  for (const [node, holders] of Object.entries(kernel.snapshot().holders)) {
    for (const { pid } of holders) await kernel.close(node, pid);
  }
  if (settings.rebooted) await kernel.reboot(randomUUID());
  return kernel;
}

async function optionsOf(
  settings: AgentSettings,
  kernel: MemoryKernel,
  failpoints: Failpoints,
): Promise<AgentOptions> {
  const { dir, url, haste } = settings;
  const stateDir = stateDirOf(dir);
  const identity = (await readIdentity(stateDir)) ?? (await joinAs(settings, kernel));
  const driver = simulatedDriver({ hostId: identity.host, port: kernel, pr: kernel });
  return {
    hostId: identity.host,
    key: await agentKey(stateDir, false),
    cloud: { socketUrl: `${url.replace(/^http/, "ws")}/agent/v1/socket`, httpUrl: url },
    stateDir,
    driver: lyingDriver(driver, failpoints),
    hypervisors: hypervisors({
      cdi: { directory: join(dir, "cdi") },
      qemu: { directory: join(dir, "qmp") },
    }),
    kernel,
    clock: systemClock,
    random: Math.random,
    sleep: async (ms, signal) => await systemSleep(ms / haste, signal),
    log: (event, facts) => {
      const at = new Date().toISOString();
      process.stderr.write(`${JSON.stringify({ at, event, ...facts })}\n`);
    },
    failpoint: async (name) => await failpoints.pass(`agent.${name}`),
    files: fullDisk(failpoints),
    permitKey: createPublicKey(identity.permitKey),
    ...(identity.imageOrigins === undefined ? {} : { allowedOrigins: identity.imageOrigins }),
    scanMs: 1000,
  };
}

async function joinAs({ name, url, dir, joinToken = "" }: AgentSettings, kernel: MemoryKernel) {
  return await joinCloud({
    url,
    token: joinToken,
    stateDir: stateDirOf(dir),
    nodeName: name,
    kernel,
    fetch: globalThis.fetch,
  });
}

if (import.meta.main) await main();
