import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { apiOf } from "../../localstack/hosts/api.ts";
import { until } from "../../localstack/tour/steps.ts";
import { bundleAgent } from "../../tools/agent-package.ts";
import type { Figure } from "./figure.ts";
import type { Stage } from "./load.ts";
import { aloneMiB, childrenOf, cpuSeconds, ended, pssMiB, stopped } from "./processes.ts";

const root = join(import.meta.dirname, "..", "..");
const stdio = "ignore";
const program = (name: string) => join(root, ".build/agent", `${name}.cjs`);

/**
 * Network process, helper and the kernel child it keeps ready, as they run on a real host: this one,
 * with no list of cards. PSS and idle CPU of all together.
 */
export async function splitAgent(stage: Stage, seconds: number): Promise<readonly Figure[]> {
  const { cloud, dataDir } = stage;
  const config = join(dataDir, "split.json");
  const helper = join(dataDir, "helper.sock");
  const stateDir = join(dataDir, "split");
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const settings = { url: cloud.url, stateDir, helper, socket: join(dataDir, "split.sock") };
  // The helper believes no settings that others can write.
  await writeFile(config, JSON.stringify(settings), { mode: 0o600 });
  await bundleAgent(root);
  const isOnline = await joined(stage, config);
  const env = { RUNTIME_DIRECTORY: dataDir };
  const started: ChildProcess[] = [];
  try {
    started.push(spawn(process.execPath, [program("helper"), "--config", config], { stdio, env }));
    await until("the helper's socket", async () => (existsSync(helper) ? true : undefined));
    started.push(spawn(process.execPath, [program("agent"), "run", "--config", config], { stdio }));
    await until("the agent to be online", isOnline);
    await sleep(4_000);
    return await measured(started, seconds);
  } finally {
    for (const child of started.toReversed()) await stopped(child);
  }
}

/** Lets an agent of these settings join; returns how to ask whether it is online. */
async function joined({ cloud }: Stage, config: string): Promise<() => Promise<true | undefined>> {
  const api = apiOf(cloud.url, { "x-project-id": "bench", "x-roles": "admin" });
  const { joinToken } = await api<{ joinToken: string }>("POST", "/v1/hosts", { name: "split" });
  const joining = ["join", "--config", config, "--token", joinToken, "--name", "split"];
  await ended(spawn(process.execPath, [program("agent"), ...joining], { stdio }));
  return async () => {
    const { items } = await api<{ items: { state: string }[] }>("GET", "/v1/hosts");
    return items[0]?.state === "online" || undefined;
  };
}

async function measured(
  started: readonly ChildProcess[],
  seconds: number,
): Promise<readonly Figure[]> {
  const roots = started.map(({ pid }) => pid ?? 0);
  const pids = [...roots, ...(await Promise.all(roots.map(childrenOf))).flat()];
  if (pids.length < 3) throw new Error("no kernel child was started ahead");
  const total = async (of: (pid: number) => Promise<number>) =>
    (await Promise.all(pids.map(of))).reduce((sum, one) => sum + one, 0);
  const before = await total(cpuSeconds);
  await sleep(seconds * 1000);
  const idle = ((await total(cpuSeconds)) - before) / seconds;
  return [
    {
      name: `PSS of ${pids.length} agent processes`,
      value: await total(pssMiB),
      unit: "MiB",
      budget: { atMost: 120 },
      note: (await Promise.all(pids.map(pssMiB))).map((one) => one.toFixed(1)).join(" + "),
    },
    {
      name: "the same with no other Node on the host",
      value: await aloneMiB(pids),
      unit: "MiB",
      budget: { atMost: 120 },
    },
    {
      name: `idle CPU of all over ${seconds} s`,
      value: idle * 100,
      unit: "%",
      budget: { atMost: 0.5 },
    },
  ];
}
