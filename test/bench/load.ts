import { EventEmitter, once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Store } from "#store/store";
import { storeFrom } from "../../functions/parts/store.ts";
import { type Cloud, type CloudOptions, startCloud } from "../../localstack/cloud.ts";
import { keptCredentials } from "../../localstack/settings.ts";

/** An offline cloud for one benchmark, with a store that reads the same table. */
export interface Stage {
  readonly cloud: Cloud;
  readonly store: Store;
  readonly dataDir: string;
  readonly credentials: ReturnType<typeof keptCredentials>;
  /** Resolves with the time at which the next call of a function begins or ends. */
  readonly next: Next;
  /** Resolves when no function was called for a while: what the load before led to is over. */
  readonly quiet: () => Promise<void>;
}

/** Milliseconds without a call that count as quiet. */
const quietMs = 500;

/** How the calls of functions are looked at; those that are `asleep` do nothing. */
interface Watching {
  readonly asleep?: readonly string[];
  readonly around?: CloudOptions["around"];
}

type Next = (functionName: string, moment: "begins" | "ends") => Promise<number>;

/**
 * Runs `work` on a fresh offline cloud, with these settings of its functions, and removes everything
 * afterwards. Some functions may be asleep: thousands of claims that no agent binds are
 * work for the sweep that no real fleet has.
 */
export async function onStage<Result>(
  work: (stage: Stage) => Promise<Result>,
  functions: Readonly<Record<string, string>> = {},
  { asleep = [], around }: Watching = {},
): Promise<Result> {
  const dataDir = await mkdtemp(join(tmpdir(), "gatehouse-bench-"));
  const credentials = keptCredentials(dataDir);
  const failures: unknown[] = [];
  const calls = new EventEmitter();
  let calledAt = 0;
  const cloud = await startCloud({
    port: 0,
    bucketPort: 0,
    dataDir,
    credentials,
    functions: { GATEHOUSE_DEFAULT_QUOTA: "1000000", ...functions },
    onFailure: (name, error) => failures.push(`${name}: ${String(error)}`),
    around: async (name, run) => {
      if (asleep.includes(name)) return undefined;
      calledAt = performance.now();
      calls.emit(`${name} begins`, performance.now());
      const answer = await (around === undefined ? run() : around(name, run));
      calls.emit(`${name} ends`, performance.now());
      return answer;
    },
  });
  const quiet = async (): Promise<void> => {
    while (performance.now() - calledAt < quietMs) await sleep(50);
  };
  const next: Next = async (name, moment) => {
    const [at] = (await once(calls, `${name} ${moment}`)) as [number];
    return at;
  };
  try {
    return await work({
      cloud,
      store: storeFrom(cloud.environment),
      dataDir,
      credentials,
      next,
      quiet,
    });
  } finally {
    await cloud.close();
    await rm(dataDir, { recursive: true, force: true });
    if (failures.length > 0) process.stderr.write(`failed calls: ${String(failures[0])}\n`);
  }
}

/** An HTTP answer with the time it took, in milliseconds. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly ms: number;
}

/** A keep-alive caller; node:http, because fetch costs as much as what is measured. */
export function caller(url: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 128 });
  return async (method: string, path: string, project: string, body?: unknown): Promise<Answer> =>
    await new Promise((resolve, reject) => {
      const begun = performance.now();
      const headers = {
        "x-project-id": project,
        "x-roles": "admin",
        "content-type": "application/json",
      };
      const call = request(`${url}${path}`, { method, agent, headers }, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => {
          const ms = performance.now() - begun;
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(text), ms });
        });
      });
      call.on("error", reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
}

/** `count` calls by `clients` at the same time: calls per second, and the time of each. */
export async function load(
  count: number,
  clients: number,
  call: (index: number) => Promise<{ readonly ms: number }>,
): Promise<{ readonly perSecond: number; readonly times: readonly number[] }> {
  let next = 0;
  const times: number[] = [];
  const begun = performance.now();
  const client = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      times.push((await call(next)).ms);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { perSecond: (times.length / (performance.now() - begun)) * 1000, times };
}
