import { randomUUID } from "node:crypto";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { AgentSettings } from "./agent.ts";
import type { Provider } from "./arq-client.ts";
import { Caller, isDone } from "./caller.ts";
import type { CloudSettings } from "./cloud.ts";
import { prepareArqs, uploadImages } from "./furnish.ts";
import { Process } from "./process.ts";
import { openWay, type Way } from "./way.ts";

/** Seconds a bind may take here: short, so that those which a fault ends are seen in every round. */
const bindDeadlineSeconds = 20;
const sweepMs = 2000;
/** The agent's waits are this many times shorter: a ping each 6 s instead of 30 s. */
const haste = 5;

/** One compute node: its agent, its way to the cloud, and its folder. */
export interface HostSite {
  readonly name: string;
  readonly dir: string;
  readonly agent: Process;
  readonly way: Way;
  readonly fail: (rules: string) => void;
  readonly plant: (rules: string) => void;
  readonly start: (rebooted?: boolean) => Promise<boolean>;
}

/** The system under faults, as processes of this machine. */
export interface Site {
  readonly caller: Caller;
  readonly cloud: Process;
  readonly failCloud: (rules: string) => void;
  readonly startCloud: () => Promise<boolean>;
  readonly hosts: readonly HostSite[];
  readonly images: readonly string[];
  readonly providers: readonly Provider[];
  /** From now on what is planted goes wrong, beside what else does. */
  readonly plant: (planted: Planted) => void;
  readonly close: () => Promise<void>;
}

/** Failpoints that stay on, to see that a check finds what they do. */
export interface Planted {
  readonly cloud: string;
  readonly agents: string;
}

interface Ground {
  readonly dir: string;
  readonly logs: string;
}

/** Starts a cloud and `count` hosts below `dir`, and gives them images and a profile. */
export async function openSite(dir: string, count: number): Promise<Site> {
  const ground = { dir, logs: join(dir, "logs") };
  mkdirSync(ground.logs, { recursive: true });
  const [port, bucketPort] = await freePorts(2);
  if (port === undefined || bucketPort === undefined) throw new Error("no free ports");
  const settings = cloudSettings(dir, port, bucketPort);
  const cloudFails = failFile(ground, "cloud");
  const cloud = new Process({
    name: "cloud",
    program: "test/chaos/cloud.ts",
    logs: ground.logs,
    failpoints: `@${cloudFails.path}`,
  });
  const started: Process[] = [cloud];
  const ways: Way[] = [];
  const close = async () => {
    await Promise.all(started.map(async (one) => await one.close()));
    await Promise.all(ways.map(async (one) => await one.close()));
  };
  try {
    if (!(await cloud.start(settings))) throw new Error("the cloud did not start");
    const caller = new Caller(`http://127.0.0.1:${port}`);
    const hosts: HostSite[] = [];
    for (let index = 1; index <= count; index += 1) {
      const way = await openWay(port);
      ways.push(way);
      const host = await openHost(ground, { name: `host-${index}`, way, caller });
      started.push(host.agent);
      hosts.push(host);
      if (!(await host.start())) throw new Error(`${host.name} did not start`);
    }
    const images = await uploadImages(caller, `http://127.0.0.1:${bucketPort}`);
    const providers = await prepareArqs(caller, count);
    const startCloud = async () => await cloud.start(settings);
    return {
      caller,
      cloud,
      failCloud: cloudFails.set,
      startCloud,
      hosts,
      images,
      providers,
      plant: (planted) => {
        cloudFails.plant(planted.cloud);
        for (const host of hosts) host.plant(planted.agents);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function cloudSettings(dir: string, port: number, bucketPort: number): CloudSettings {
  return {
    port,
    bucketPort,
    dataDir: join(dir, "cloud"),
    functions: {
      GATEHOUSE_BIND_DEADLINE_SECONDS: String(bindDeadlineSeconds),
      GATEHOUSE_SERVICE_TOKENS: "optional",
    },
    sweepMs,
  };
}

/** A file of failpoints; replaced as a whole, so that none reads half of it. */
function failFile({ dir }: Ground, name: string) {
  const path = join(dir, `${name}.failpoints`);
  let now = "";
  let always = "";
  const write = () => {
    writeFileSync(`${path}.new`, [always, now].filter((one) => one !== "").join(","));
    renameSync(`${path}.new`, path);
  };
  write();
  return {
    path,
    set: (rules: string) => {
      now = rules;
      write();
    },
    plant: (rules: string) => {
      always = rules;
      write();
    },
  };
}

async function openHost(
  ground: Ground,
  { name, way, caller }: { readonly name: string; readonly way: Way; readonly caller: Caller },
): Promise<HostSite> {
  const dir = join(ground.dir, name);
  mkdirSync(dir, { recursive: true });
  const fails = failFile(ground, name);
  const agent = new Process({
    name,
    program: "test/chaos/agent.ts",
    logs: ground.logs,
    failpoints: `@${fails.path}`,
  });
  const made = await caller.once({
    method: "POST",
    path: "/v1/hosts",
    project: "ops",
    roles: "admin",
    body: { name },
  });
  if (!isDone(made)) throw new Error(`host ${name} was not made`);
  const settings: AgentSettings = {
    name,
    url: `http://127.0.0.1:${way.port}`,
    dir,
    machineId: randomUUID(),
    cards: { dfl: 1, sriov: 1 },
    joinToken: (made.body as { joinToken: string }).joinToken,
    rebooted: false,
    haste,
  };
  const start = async (rebooted = false) => await agent.start({ ...settings, rebooted });
  return { name, dir, agent, way, fail: fails.set, plant: fails.plant, start };
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address !== null && typeof address === "object") ports.push(address.port);
  }
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  await pause(10);
  return ports;
}
