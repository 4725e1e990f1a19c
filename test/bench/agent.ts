import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { simulatedDriver } from "../../agent/drivers/simulated.ts";
import { stockCards } from "../../agent/host/memory-kernel/cards.ts";
import { memoryKernel } from "../../agent/host/memory-kernel/kernel.ts";
import { apiOf } from "../../localstack/hosts/api.ts";
import { until } from "../../localstack/tour/steps.ts";
import type { Benchmark, Figure } from "./figure.ts";
import { onStage, type Stage } from "./load.ts";
import { cpuSeconds, ended, pssMiB, stopped } from "./processes.ts";
import { splitAgent } from "./split.ts";

const root = join(import.meta.dirname, "..", "..");

/** The bundled agent as its own process, joined and connected, with four simulated cards. */
async function idleAgent(stage: Stage, seconds: number): Promise<readonly Figure[]> {
  const { cloud, dataDir } = stage;
  const stateDir = join(dataDir, "agent");
  const config = join(dataDir, "agent.json");
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const settings = {
    url: cloud.url,
    stateDir,
    socket: join(dataDir, "agent.sock"),
    requireSignature: false,
    cdiDirectory: join(dataDir, "cdi"),
    simulated: { dfl: 2, alveo: 1, sriov: 1 },
  };
  await writeFile(config, JSON.stringify(settings));
  const api = apiOf(cloud.url, { "x-project-id": "bench", "x-roles": "admin" });
  const { joinToken } = await api<{ joinToken: string }>("POST", "/v1/hosts", { name: "idle" });
  const agent = join(root, ".build", "agent.cjs");
  const options = { stdio: "ignore" } as const;
  const joining = ["join", "--config", config, "--url", cloud.url, "--token", joinToken];
  await ended(spawn(process.execPath, [agent, ...joining, "--name", "idle"], options));
  const child = spawn(process.execPath, [agent, "run", "--config", config], options);
  try {
    await until("the agent to be online", async () => {
      const { items } = await api<{ items: { state: string }[] }>("GET", "/v1/hosts");
      return items[0]?.state === "online" ? true : undefined;
    });
    await sleep(4_000);
    const pid = child.pid ?? 0;
    const before = await cpuSeconds(pid);
    await sleep(seconds * 1000);
    const idle = ((await cpuSeconds(pid)) - before) / seconds;
    return [
      {
        name: "agent PSS, 4 cards",
        value: await pssMiB(pid),
        unit: "MiB",
        budget: { atMost: 120 },
      },
      {
        name: `agent idle CPU over ${seconds} s`,
        value: idle * 100,
        unit: "%",
        budget: { atMost: 0.5 },
      },
    ];
  } finally {
    await stopped(child);
  }
}

/** One scan of a host with 64 cards, median of nine. */
async function scan(): Promise<Figure> {
  const kernel = memoryKernel({
    cards: stockCards({ dfl: 22, alveo: 21, sriov: 21 }),
    bootId: randomUUID(),
  });
  const driver = simulatedDriver({ hostId: randomUUID(), port: kernel, pr: kernel });
  const times: number[] = [];
  for (let run = 0; run < 12; run += 1) {
    const begun = performance.now();
    const { devices } = await driver.discover();
    if (devices.length !== 64) throw new Error(`${devices.length} of 64 cards were found`);
    if (run >= 3) times.push(performance.now() - begun);
  }
  const value = times.toSorted((a, b) => a - b)[4] ?? 0;
  return { name: "scan of 64 cards", value, unit: "ms", budget: { atMost: 50 } };
}

/** What the agent costs its host. Needs the bundle that the bundles benchmark builds. */
export const agent: Benchmark = {
  name: "agent",
  about: "What the agent costs its host.",
  run: async (short) => [
    await scan(),
    ...(await onStage(async (stage) => await idleAgent(stage, short ? 8 : 20))),
    ...(await onStage(async (stage) => await splitAgent(stage, short ? 8 : 20))),
  ],
};
