import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { countingTable } from "#store/counting-table";
import type { Store } from "#store/store";
import { claimsFunction } from "../../functions/http/claims.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import { storeFrom } from "../../functions/parts/store.ts";
import { readService } from "../../localstack/gateway/service.ts";
import { startTable } from "../../localstack/table/start.ts";
import { type Benchmark, type Figure, percentiles } from "./figure.ts";
import { benchClass, seedFleet } from "./fleet.ts";

const wanted = { resourceClass: benchClass };
const projectOf = (index: number) => `project-${index % 16}`;

/** Calls that compile the code, and calls that are measured. */
const calls = { first: 1_000, measured: 1_000 };

const root = join(import.meta.dirname, "..", "..");

/** How Node is started for the deployed functions. */
function deployedOptions(): string {
  const options = readService(join(root, "serverless.yml")).environment["NODE_OPTIONS"];
  if (typeof options !== "string") throw new Error("serverless.yml sets no NODE_OPTIONS");
  return options;
}

/** The same figures from a process that was started as the deployed functions are. */
async function inProcessOfItsOwn(options: string): Promise<readonly Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), "gatehouse-bench-"));
  const json = join(folder, "figures.json");
  try {
    const command = [join(import.meta.dirname, "main.ts"), "--only", "handler", "--json", json];
    const env = { ...process.env, NODE_OPTIONS: options };
    const child = spawn(process.execPath, command, { stdio: ["ignore", "ignore", "inherit"], env });
    const [code] = (await once(child, "exit")) as [number | null];
    if (code !== 0) throw new Error(`the handler's process ended with ${code}`);
    return (JSON.parse(await readFile(json, "utf8")) as { figures: readonly Figure[] }).figures;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The function alone on a table of its own, called one by one: CPU, and round trips to the table. */
async function handlerAlone(): Promise<readonly Figure[]> {
  const offline = await startTable();
  const store = storeFrom({
    GATEHOUSE_TABLE: offline.name,
    GATEHOUSE_BUCKET: "none",
    AWS_ENDPOINT_URL_DYNAMODB: offline.endpoint,
    AWS_ACCESS_KEY_ID: "bench",
    AWS_SECRET_ACCESS_KEY: "bench",
  });
  try {
    await seedFleet(store.table, 400, 8);
    return await handlerFigures(store);
  } finally {
    await offline.stop();
  }
}

async function handlerFigures(store: Store): Promise<readonly Figure[]> {
  const table = countingTable(store.table);
  const counted = { ...store, table };
  const run = claimsFunction({
    store: counted,
    settings: { bindDeadlineMs: 180_000, defaultQuota: 1_000_000 },
    catalogue: new Catalogue(counted),
    hosts: new Map(),
    large: new Map(),
  });
  const cpu: number[] = [];
  let trips = 0;
  for (let index = 0; index < calls.first + calls.measured; index += 1) {
    table.reset();
    const before = process.cpuUsage();
    const answer = (await run(eventOf(index), {} as never)) as { statusCode: number };
    const { user, system } = process.cpuUsage(before);
    if (answer.statusCode !== 201) throw new Error(`a claim answered ${answer.statusCode}`);
    if (index < calls.first) continue;
    cpu.push((user + system) / 1000);
    trips = Math.max(trips, table.roundTrips().sequential);
  }
  const note = "user + system of the process, SDK client and garbage collection included";
  const { p50, p99 } = percentiles(cpu);
  return [
    { name: "handler CPU of a claim, p50", value: p50, unit: "ms", note },
    { name: "handler CPU of a claim, p99", value: p99, unit: "ms", budget: { atMost: 5 }, note },
    { name: "sequential table round trips", value: trips, unit: "", budget: { atMost: 2 } },
  ];
}

function eventOf(index: number): object {
  const roles = "member";
  return {
    version: "2.0",
    routeKey: "POST /v1/claims",
    rawPath: "/v1/claims",
    headers: { "content-type": "application/json", host: "bench" },
    requestContext: {
      requestId: `bench-${index}-${performance.now()}`,
      authorizer: { lambda: { project: projectOf(index), user: "bench", roles } },
    },
    body: JSON.stringify(wanted),
    isBase64Encoded: false,
  };
}

/** What one claim costs the function that grants it. */
export const handler: Benchmark = {
  name: "handler",
  about:
    "The claim handler alone, without a network, in a Node started as the deployed functions are: its processor time, and its round trips to the table.",
  run: async () => {
    const options = deployedOptions();
    return process.env["NODE_OPTIONS"] === options
      ? await handlerAlone()
      : await inProcessOfItsOwn(options);
  },
};
