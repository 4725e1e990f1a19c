import { createHash } from "node:crypto";
import { type Benchmark, type Figure, percentiles } from "./figure.ts";
import { benchClass, benchHosts, seedFleet } from "./fleet.ts";
import { seedHeld } from "./held.ts";
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
  for (const clients of [1, 8, 32, 64]) {
    const { perSecond, times } = await load(
      count,
      clients,
      async (index) => await claimed(call, index),
    );
    const { p50, p99 } = percentiles(times);
    const budget = clients >= 32 ? { budget: { atLeast: 200 }, note: peer } : {};
    figures.push(
      { name: `claims, ${clients} clients`, value: perSecond, unit: "claims/s", ...budget },
      { name: `claim p50, ${clients} clients`, value: p50, unit: "ms" },
      { name: `claim p99, ${clients} clients`, value: p99, unit: "ms" },
    );
  }
  return figures;
}

/** Instances that hold claims at the end of {@link flatness}, and claims of each of them. */
const perInstance = 10;

/** How the same claim does with few claims held and with many, and a list by instance beside it. */
async function flatness(stage: Stage, call: Call, short: boolean): Promise<readonly Figure[]> {
  const held = short ? 5_000 : 50_000;
  for (let index = 0; index < perInstance; index += 1) {
    await claimed(call, index, { ...wanted, instance: instanceOf(index) });
  }
  await stage.quiet();
  const before = await load(300, 32, async (index) => await claimed(call, index));
  const few = await listed(call, () => 0);
  // Bound, as if agents had proven them: claims that nobody binds would keep the sweep busy.
  await seedHeld(stage.store.table, held, (claim) => instanceOf(claim + perInstance));
  await stage.quiet();
  const after = await load(300, 32, async (index) => await claimed(call, index));
  const many = await listed(call, (index) => index * perInstance);
  return [
    {
      name: `claims with ${held} more held / before`,
      value: after.perSecond / before.perSecond,
      unit: "×",
      budget: { atLeast: 0.7 },
    },
    {
      name: `list by instance with ${held} more held / before, p50`,
      value: many.p50 / few.p50,
      unit: "×",
      budget: { atMost: 2 },
      note: `${perInstance} claims of an instance`,
    },
    { name: `list by instance, ${held} held, p99`, value: many.p99, unit: "ms" },
  ];
}

async function listed(
  call: Call,
  claim: (index: number) => number,
): Promise<{ readonly p50: number; readonly p99: number }> {
  const { times } = await load(100, 1, async (index) => {
    const instance = instanceOf(claim(index));
    return await call("GET", `/v1/claims?instance=${instance}`, projectOf(claim(index)));
  });
  return percentiles(times);
}

const instanceOf = (index: number) =>
  createHash("md5")
    .update(String(Math.floor(index / perInstance)))
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

/** Claims per second with this many hosts in all, once the pool is warm. */
async function rateWith({ stage, call }: Place, hosts: number): Promise<number> {
  await seedFleet(stage.store.table, hosts, 8);
  await load(64, 32, async (index) => await claimed(call, index));
  await stage.quiet();
  const runs: number[] = [];
  // The best of three: what the machine does beside this only ever makes it slower.
  for (let run = 0; run < 3; run += 1) {
    runs.push((await load(200, 32, async (index) => await claimed(call, index))).perSecond);
  }
  return Math.max(...runs);
}

interface Place {
  readonly stage: Stage;
  readonly call: Call;
}

const fleetRatio = (hosts: number, value: number): Figure => ({
  name: `claims with ${hosts} hosts / with 100`,
  value,
  unit: "×",
  budget: { atLeast: 0.7 },
});

async function measure(stage: Stage, short: boolean): Promise<readonly Figure[]> {
  const place = { stage, call: caller(stage.cloud.url) };
  const small = await rateWith(place, 100);
  const middle = await rateWith(place, benchHosts - 100);
  const figures = [
    ...(await rates(place.call, short ? 400 : 1_000)),
    fleetRatio(benchHosts, middle / small),
  ];
  if (!short) {
    const large = await rateWith(place, 10 * benchHosts - benchHosts);
    figures.push(fleetRatio(10 * benchHosts, large / small));
  }
  return [
    ...figures,
    ...(await flatness(stage, place.call, short)),
    ...(await sixOfEight(stage, place.call)),
    ...(await released(place.call)),
  ];
}

/** Claims against 1,000 hosts × 8 cards that are written straight into the table; 10,000 in the end. */
export const claims: Benchmark = {
  name: "claims",
  about:
    "Claims over HTTP against the offline cloud with 1,000 hosts of 8 cards: by clients, as the fleet grows, and as held claims grow.",
  run: async (short) =>
    await onStage(
      async (stage) => await measure(stage, short),
      {},
      {
        asleep: ["sweep", "openstackClock"],
      },
    ),
};
