import { createHash } from "node:crypto";
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
      ];
    }),
};
