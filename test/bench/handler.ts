import { countingTable } from "#store/counting-table";
import type { Store } from "#store/store";
import { claimsFunction } from "../../functions/http/claims.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import { storeFrom } from "../../functions/parts/store.ts";
import { startTable } from "../../localstack/table/start.ts";
import { type Benchmark, type Figure, percentiles } from "./figure.ts";
import { benchClass, seedFleet } from "./fleet.ts";

const wanted = { resourceClass: benchClass };
const projectOf = (index: number) => `project-${index % 16}`;

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
    await seedFleet(store.table, 250, 8);
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
  for (let index = 0; index < 1_000; index += 1) {
    table.reset();
    const before = process.cpuUsage();
    const answer = (await run(eventOf(index), {} as never)) as { statusCode: number };
    const { user, system } = process.cpuUsage(before);
    if (answer.statusCode !== 201) throw new Error(`a claim answered ${answer.statusCode}`);
    // The first calls compile the code.
    if (index < 500) continue;
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

/** What one claim costs the function that grants it. First of all, while the heap is small. */
export const handler: Benchmark = {
  name: "handler",
  about:
    "The claim handler alone, without a network: its processor time, and its round trips to the table.",
  run: async () => await handlerAlone(),
};
