import { createHash } from "node:crypto";
import { countingTable } from "#store/counting-table";
import type { Store } from "#store/store";
import { claimsFunction } from "../../functions/http/claims.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import { storeFrom } from "../../functions/parts/store.ts";
import { startTable } from "../../localstack/table/start.ts";
import { type Benchmark, type Figure, percentiles } from "./figure.ts";
import { benchClass, benchHosts, seedFleet } from "./fleet.ts";
import { type Answer, caller, load, onStage, type Stage } from "./load.ts";

type Call = ReturnType<typeof caller>;

/** Cyborg 2025.2 on a box of this size, cycles per second (reference/openstack.md §7). */
const peer = "Cyborg 2025.2: 5.8–9.8 cycles/s";

const wanted = { resourceClass: benchClass };
const projectOf = (index: number) => `project-${index % 16}`;

async function claimed(call: Call, index: number, body: object = wanted): Promise<Answer> {
  const answer = await call("POST", "/v1/claims", projectOf(index), body);
  if (answer.status !== 201) {
    throw new Error(`a claim answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  }
  return answer;
}

async function rates(call: Call, count: number): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const clients of [1, 8, 32]) {
    const { perSecond, times } = await load(
      count,
      clients,
      async (index) => await claimed(call, index),
    );
    const { p50, p99 } = percentiles(times);
    const budget = clients === 32 ? { budget: { atLeast: 200 }, note: peer } : {};
    figures.push(
      { name: `claims, ${clients} clients`, value: perSecond, unit: "claims/s", ...budget },
      { name: `claim p50, ${clients} clients`, value: p50, unit: "ms" },
      { name: `claim p99, ${clients} clients`, value: p99, unit: "ms" },
    );
  }
  return figures;
}

/** How the same claim does in a small fleet, in a large one, and with many held. */
async function flatness(stage: Stage, call: Call, short: boolean): Promise<readonly Figure[]> {
  const held = short ? 1_000 : 5_000;
  await stage.quiet();
  const before = await load(200, 8, async (index) => await claimed(call, index));
  await load(
    held,
    32,
    async (index) => await claimed(call, index, { ...wanted, instance: instanceOf(index) }),
  );
  await stage.quiet();
  const after = await load(200, 8, async (index) => await claimed(call, index));
  const lists = await load(
    50,
    1,
    async (index) =>
      await call("GET", `/v1/claims?instance=${instanceOf(index)}`, projectOf(index)),
  );
  return [
    {
      name: `claims with ${held} more held / before`,
      value: after.perSecond / before.perSecond,
      unit: "×",
      budget: { atLeast: 0.7 },
    },
    {
      name: `list by instance, ${held} held, p99`,
      value: percentiles(lists.times).p99,
      unit: "ms",
    },
    ...(await sixOfEight(stage, call)),
  ];
}

const instanceOf = (index: number) =>
  createHash("md5")
    .update(String(index % 500))
    .digest("hex");

async function sixOfEight(stage: Stage, call: Call): Promise<readonly Figure[]> {
  const { hosts } = await seedFleet(stage.store.table, 60, 8);
  await stage.quiet();
  const { times } = await load(
    50,
    1,
    async (index) => await claimed(call, index, { ...wanted, count: 6, host: hosts[index] }),
  );
  const { p99 } = percentiles(times);
  return [{ name: "6 of 8 on one host, p99", value: p99, unit: "ms", budget: { atMost: 50 } }];
}

async function released(call: Call): Promise<readonly Figure[]> {
  const ids: string[] = [];
  await load(200, 16, async (index) => {
    const answer = await claimed(call, index);
    ids.push((answer.body as { claims: { id: string }[] }).claims[0]?.id ?? "");
    return answer;
  });
  const { perSecond } = await load(
    200,
    16,
    async (index) => await call("DELETE", `/v1/claims/${ids[index - 1] ?? ""}`, "any"),
  );
  return [{ name: "releases, 16 clients", value: perSecond, unit: "releases/s" }];
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
    await seedFleet(store.table, 100, 8);
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
  for (let index = 0; index < 400; index += 1) {
    table.reset();
    const before = process.cpuUsage();
    const answer = (await run(eventOf(index), {} as never)) as { statusCode: number };
    const { user, system } = process.cpuUsage(before);
    if (answer.statusCode !== 201) throw new Error(`a claim answered ${answer.statusCode}`);
    // The first calls compile the code.
    if (index < 200) continue;
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

/** Claims against 1,000 hosts × 8 cards that are written straight into the table. */
export const claims: Benchmark = {
  name: "claims",
  run: async (short) =>
    await onStage(async (stage) => {
      const call = caller(stage.cloud.url);
      await seedFleet(stage.store.table, 100, 8);
      await load(64, 32, async (index) => await claimed(call, index));
      await stage.quiet();
      const small = await load(300, 32, async (index) => await claimed(call, index));
      await seedFleet(stage.store.table, benchHosts, 8);
      await load(64, 32, async (index) => await claimed(call, index));
      await stage.quiet();
      const figures = await rates(call, short ? 400 : 1_000);
      const large = figures.find((figure) => figure.name === "claims, 32 clients")?.value ?? 0;
      return [
        ...figures,
        {
          name: `claims with ${benchHosts} hosts / with 100`,
          value: large / small.perSecond,
          unit: "×",
          budget: { atLeast: 0.7 },
        },
        ...(await flatness(stage, call, short)),
        ...(await released(call)),
        ...(await handlerAlone()),
      ];
    }),
};
