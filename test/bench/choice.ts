import type { Demand } from "#domain/demand";
import type { Deployable } from "#domain/deployable";
import { tryGrant } from "#store/grant";
import { grantClaims } from "#store/granting";
import { type LargePools, walkPool } from "#store/pool";
import { ChoiceSite, type Grant, imageOf, type Run } from "./choice-site.ts";
import { type Benchmark, type Figure, percentiles } from "./figure.ts";
import { seededRandom, VirtualClock } from "./virtual-clock.ts";

const hosts = 25;
const regions = 4;
const images = Array.from({ length: 50 }, (_, rank) => imageOf(rank));
/** Mean time that a claim is held, ms. */
const meanHoldMs = 120_000;
/** Mean time from claim to claim, ms, and the share of regions that are busy by it, %. */
const loads = [
  { busy: 60, meanGapMs: 2_100 },
  { busy: 70, meanGapMs: 1_800 },
  { busy: 80, meanGapMs: 1_580 },
] as const;

/** As the service chooses. */
function ours(): Grant {
  const large: LargePools = new Map();
  const demand: Demand = new Map();
  return async (store, request) => {
    const granted = await grantClaims(store, { ...request, demand }, large);
    if (granted?.replayed === true) throw new Error("no claim is made twice here");
    return granted?.deployables[0];
  };
}

/** The one that has been free longest, whatever it has loaded. */
const firstFree: Grant = async (store, request) => {
  const need = request.groups[0]?.need;
  if (need === undefined) return undefined;
  const free = await walkPool(store, need, { fits: () => true, all: true });
  const [first] = free.toSorted((a, b) => a.updatedAt - b.updatedAt || (a.id < b.id ? -1 : 1));
  return first && (await take(store, request, first));
};

const take = async (
  store: Parameters<Grant>[0],
  request: Parameters<Grant>[1],
  one: Deployable,
): Promise<Deployable | undefined> => {
  const [handle = ""] = Object.keys(one.handles);
  const picks = [{ group: 0, deployable: one.id, handle }];
  const choice = { host: one.host, picks, deployables: new Map([[one.id, one]]) };
  const attempt = await tryGrant(store, request, choice);
  if (attempt.kind !== "granted") throw new Error(`nobody else is here: ${attempt.kind}`);
  return attempt.deployables[0];
};

/** Rank 0 is asked for twice as often as rank 1, three times as often as rank 2 (Zipf, 1.0). */
function zipf(count: number): (uniform: number) => number {
  const weights = Array.from({ length: count }, (_, rank) => 1 / (rank + 1));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return (uniform) => {
    let left = uniform * sum;
    const rank = weights.findIndex((weight) => {
      left -= weight;
      return left < 0;
    });
    return rank < 0 ? count - 1 : rank;
  };
}

const seconds = (ms: number) => (ms / 1000).toFixed(1);

const exponential = (mean: number, uniform: number) => -mean * Math.log(1 - uniform);

/** The same claims at the same times, whoever chooses. */
async function simulate(grant: Grant, claims: number, meanGapMs: number): Promise<Run> {
  const seed = 1;
  const time = new VirtualClock();
  const workload = seededRandom(seed);
  const site = new ChoiceSite(time, seededRandom(seed + 1), grant);
  await site.build(hosts, regions, images);
  const pick = zipf(images.length);
  const warmUp = Math.ceil(claims / 5);
  site.countFrom(warmUp);
  for (let number = 0; number < warmUp + claims; number += 1) {
    await time.until(time.now() + exponential(meanGapMs, workload()));
    const image = images[pick(workload())];
    const holdMs = exponential(meanHoldMs, workload());
    if (image !== undefined) site.arrive(number, image, holdMs);
  }
  const result = site.result(hosts * regions);
  await time.until(time.now() + 3_600_000);
  return result;
}

async function figuresAt(
  { busy, meanGapMs }: (typeof loads)[number],
  claims: number,
): Promise<readonly Figure[]> {
  const fifo = await simulate(firstFree, claims, meanGapMs);
  const aware = await simulate(ours(), claims, meanGapMs);
  const [before, after] = [percentiles(fifo.waits), percentiles(aware.waits)];
  const at = `${busy} % busy`;
  return [
    {
      name: `${at}: programs a claim waits for, avoided of FIFO's`,
      value: (1 - aware.programs / fifo.programs) * 100,
      unit: "%",
      budget: { atLeast: 60 },
      note: `${aware.programs} against ${fifo.programs} for ${claims} claims`,
    },
    {
      name: `${at}: longest wait of a claim / FIFO's p99`,
      value: Math.max(...aware.waits) / before.p99,
      unit: "×",
      budget: { atMost: 2 },
      note: `FIFO: p50 ${seconds(before.p50)} s, p99 ${seconds(before.p99)} s, longest ${seconds(Math.max(...fifo.waits))} s`,
    },
    { name: `${at}: wait p50`, value: after.p50, unit: "ms" },
    { name: `${at}: wait p99`, value: after.p99, unit: "ms" },
    { name: `${at}: regions busy, measured`, value: aware.busy * 100, unit: "%" },
  ];
}

/** A claim prefers a card that has its image: what that is worth, against any free card. */
export const choice: Benchmark = {
  name: "choice",
  about:
    "25 hosts of 4 regions, 50 images by Zipf (1.0), Poisson arrivals, program 3 s, scrub 2 s, in virtual time over the real grant, release and report: the card with the wanted image against any free card. The fewer regions are free, the fewer images they hold between them.",
  run: async (short) => {
    const figures: Figure[] = [];
    for (const load of loads) figures.push(...(await figuresAt(load, short ? 1_500 : 8_000)));
    return figures;
  },
};
