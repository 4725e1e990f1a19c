import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { simulatedDriver } from "../../agent/drivers/simulated.ts";
import { stockCards } from "../../agent/host/memory-kernel/cards.ts";
import { memoryKernel } from "../../agent/host/memory-kernel/kernel.ts";
import { apiOf } from "../../localstack/hosts/api.ts";
import { until } from "../../localstack/tour/steps.ts";
import { bundleAgent } from "../../tools/agent-package.ts";
import type { Benchmark, Figure } from "./figure.ts";
import { onStage, type Stage } from "./load.ts";

const root = join(import.meta.dirname, "..", "..");

/** User and system time of a process in seconds (proc(5): fields 14 and 15, in ticks of 10 ms). */
async function cpuSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function pssMiB(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) / 1024;
}

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
    child.kill("SIGTERM");
    await new Promise((resolve) => child.once("exit", resolve));
  }
}

/** Network process, helper and the kernel child it keeps ready, as on a real host without a card. */
async function splitAgent(stage: Stage): Promise<Figure> {
  const { cloud, dataDir } = stage;
  const stateDir = join(dataDir, "split");
  const config = join(dataDir, "split.json");
  const helper = join(dataDir, "helper.sock");
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const settings = { url: cloud.url, stateDir, helper, socket: join(dataDir, "split.sock") };
  await writeFile(config, JSON.stringify(settings), { mode: 0o600 });
  const api = apiOf(cloud.url, { "x-project-id": "bench", "x-roles": "admin" });
  const { joinToken } = await api<{ joinToken: string }>("POST", "/v1/hosts", { name: "split" });
  await bundleAgent(root);
  const program = (name: string) => join(root, ".build/agent", `${name}.cjs`);
  const stdio = "ignore";
  const joining = ["join", "--config", config, "--token", joinToken, "--name", "split"];
  await ended(spawn(process.execPath, [program("agent"), ...joining], { stdio }));
  const env = { RUNTIME_DIRECTORY: dataDir };
  const started = [
    spawn(process.execPath, [program("helper"), "--config", config], { stdio, env }),
  ];
  try {
    await until("the helper's socket", async () => (existsSync(helper) ? true : undefined));
    const run = [program("agent"), "run", "--config", config];
    started.push(spawn(process.execPath, run, { stdio }));
    await until("the agent to be online", async () => {
      const { items } = await api<{ items: { name: string; state: string }[] }>("GET", "/v1/hosts");
      return items.some(({ name, state }) => name === "split" && state === "online") || undefined;
    });
    await sleep(4_000);
    const pids = started.map(({ pid }) => pid ?? 0);
    const children = (await Promise.all(pids.map(childrenOf))).flat();
    const all = await Promise.all([...pids, ...children].map(pssMiB));
    const value = all.reduce((sum, one) => sum + one, 0);
    const name = `PSS of ${all.length} agent processes`;
    return { name, value, unit: "MiB", budget: { atMost: 120 } };
  } finally {
    for (const child of started.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGTERM");
      await new Promise((resolve) => child.once("exit", resolve));
    }
  }
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.trim().split(" ").filter(Boolean).map(Number);
}

function ended(child: ReturnType<typeof spawn>): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`the agent ended with ${code}`));
    });
  });
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
  run: async (short) => [
    await scan(),
    ...(await onStage(async (stage) => await idleAgent(stage, short ? 8 : 20))),
    await onStage(splitAgent),
  ],
};
