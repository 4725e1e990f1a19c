import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { S3Client } from "@aws-sdk/client-s3";
import { isOfferable } from "#domain/deployable";
import { encodeMessage } from "#protocol/wire/codec";
import { readClaim } from "#store/claims";
import { deployablesOf } from "#store/deployables";
import { beatRow, readBeat } from "#store/hosts";
import { apiOf } from "../../localstack/hosts/api.ts";
import { startSimulatedHost } from "../../localstack/hosts/simulated-host.ts";
import { cryptoGbs } from "../../localstack/tour/bitstreams.ts";
import { until, upload } from "../../localstack/tour/steps.ts";
import type { Benchmark, Figure } from "./figure.ts";
import { onStage, type Stage } from "./load.ts";
import { Meter } from "./meter.ts";
import { dollarsOf, prices, type Usage } from "./prices.ts";

type Api = ReturnType<typeof apiOf>;

/** Minutes of a month, pings of an agent per minute (conversation.ts), and of a planned reconnect. */
const monthMinutes = (365 / 12) * 24 * 60;
const pingsPerMinute = 2;
const reconnectMinutes = 107.5;

interface Scene {
  readonly stage: Stage;
  readonly meter: Meter;
  readonly api: Api;
  readonly host: string;
  readonly image: string;
}

const share = (usage: Usage, parts: number): Usage =>
  Object.fromEntries(
    Object.entries(usage).map(([name, value]) => [name, value / parts]),
  ) as unknown as Usage;

/** What one thing used, and by which functions and rows. */
interface Measured {
  readonly usage: Usage;
  readonly calls: ReadonlyMap<string, number>;
  readonly rows: ReadonlyMap<string, number>;
}

/** What `count` repetitions used each, with all that followed from them. */
async function metered(
  { stage, meter }: Scene,
  count: number,
  act: () => Promise<void>,
): Promise<Measured> {
  await stage.quiet();
  meter.reset();
  for (let index = 0; index < count; index += 1) await act();
  await stage.quiet();
  const each = (tally: ReadonlyMap<string, number>) =>
    new Map([...tally].map(([name, value]) => [name, value / count]));
  return {
    usage: share(meter.total(), count),
    calls: each(meter.calls()),
    rows: each(meter.rows()),
  };
}

/** From the request to Bound, and from the release to the card's return, without a client that polls. */
async function lives(scene: Scene, count: number): Promise<readonly [Measured, Measured]> {
  const { stage, api, host, image } = scene;
  const ids: string[] = [];
  const settle = async (what: string, isSettled: () => Promise<boolean>) =>
    await until(what, async () => {
      await sleep(5);
      return (await isSettled()) ? true : undefined;
    });
  const free = (await deployablesOf(stage.store, host)).filter(isOfferable).length;
  const claim = async () => {
    const { claims } = await api<{ claims: { id: string }[] }>("POST", "/v1/claims", { image });
    const id = claims[0]?.id ?? "";
    ids.push(id);
    await settle("Bound", async () => (await readClaim(stage.store, id))?.state === "Bound");
  };
  const release = async () => {
    await api("DELETE", `/v1/claims/${ids.pop() ?? ""}`);
  };
  const sums: [Measured[], Measured[]] = [[], []];
  for (let index = 0; index < count; index += 1) {
    sums[0].push(await metered(scene, 1, claim));
    sums[1].push(
      await metered(scene, 1, async () => {
        await release();
        await settle("offered again", async () => {
          const all = await deployablesOf(stage.store, host);
          return all.filter(isOfferable).length === free;
        });
      }),
    );
  }
  return [average(sums[0]), average(sums[1])];
}

function plus(a: Usage, b: Usage): Usage {
  return Object.fromEntries(
    Object.entries(a).map(([name, value]) => [name, value + b[name as keyof Usage]]),
  ) as unknown as Usage;
}

function average(all: readonly Measured[]): Measured {
  const tally = (of: "calls" | "rows") => {
    const names = new Set(all.flatMap((one) => [...one[of].keys()]));
    const sum = (name: string) => all.reduce((total, one) => total + (one[of].get(name) ?? 0), 0);
    return new Map([...names].map((name) => [name, sum(name) / all.length]));
  };
  const usage = share(all.map((one) => one.usage).reduce(plus), all.length);
  return { usage, calls: tally("calls"), rows: tally("rows") };
}

/** One ping of the live session, as its agent would send it. */
async function pings(scene: Scene, count: number): Promise<Measured> {
  const { stage, host } = scene;
  const handler = await stage.cloud.load("functions/socket/message.handler");
  const { connection, epoch } = await readBeat(stage.store, host);
  return await metered(scene, count, async () => {
    const known = await deployablesOf(stage.store, host);
    const digest = Object.fromEntries(known.map(({ id, revision }) => [id, revision]));
    const body = encodeMessage({ type: "ping", epoch, digest });
    const event = { requestContext: { connectionId: connection }, body };
    await handler(event as never, {} as never);
  });
}

/** What a sweep of `hosts` idle hosts more reads for each of them; it writes nothing of them. */
async function watching(scene: Scene, hosts: number): Promise<Usage> {
  const { stage, meter } = scene;
  const handler = await stage.cloud.load("functions/events/sweep.handler");
  const sweep = async () =>
    (
      await metered(scene, 1, async () => {
        await meter.withClock(async () => {
          await handler({} as never, {} as never);
        });
      })
    ).usage;
  await sweep();
  const before = await sweep();
  const now = stage.store.now();
  for (let index = 0; index < hosts; index += 1) {
    const beat = { host: randomUUID(), state: "online", epoch: 1, seenAt: now } as const;
    await stage.store.table.write([{ kind: "put", item: beatRow(beat) }]);
  }
  const after = await sweep();
  const none = share(before, Number.POSITIVE_INFINITY);
  return {
    ...none,
    reads: (after.reads - before.reads) / hosts,
    writes: (after.writes - before.writes) / hosts,
  };
}

/** The counts of a tally, most first. */
const listOf = (tally: ReadonlyMap<string, number>): string =>
  [...tally]
    .toSorted(([a, one], [b, other]) => other - one || a.localeCompare(b))
    .map(([name, value]) => `${name} ${Number(value.toFixed(1))}`)
    .join(", ");

function figuresOf(what: string, { usage, ...by }: Measured): readonly Figure[] {
  const { calls, ownMs, awsMs, reads, writes, messages, s3Reads, s3Writes } = usage;
  const note = `${Math.round(ownMs)} ms measured, with the offline table; ${Math.round(awsMs)} ms modelled for AWS`;
  return [
    { name: `${what}: table writes`, value: writes, unit: "units", note: listOf(by.rows) },
    { name: `${what}: table reads`, value: reads, unit: "units" },
    { name: `${what}: function calls`, value: calls, unit: "calls", note: listOf(by.calls) },
    { name: `${what}: function time`, value: ownMs + awsMs, unit: "ms", note },
    { name: `${what}: socket messages`, value: messages, unit: "messages" },
    { name: `${what}: S3 requests`, value: s3Reads + s3Writes, unit: "requests" },
  ];
}

async function measure(scene: Scene, short: boolean): Promise<readonly Figure[]> {
  await lives(scene, 1);
  const [claim, release] = await lives(scene, short ? 3 : 10);
  const ping = await pings(scene, short ? 10 : 40);
  const watch = await watching(scene, 200);
  const claims = 1_000_000 * dollarsOf(plus(claim.usage, release.usage));
  const agents = 10_000;
  const talk = monthMinutes * (pingsPerMinute * dollarsOf(ping.usage) + dollarsOf(watch));
  const open = monthMinutes * prices.socketMinute;
  return [
    ...figuresOf("claim of a loaded image until Bound", claim),
    ...figuresOf("release, scrub, reload until offered again", release),
    ...figuresOf("ping", ping),
    {
      name: "watch over a host for a minute: table reads",
      value: watch.reads,
      unit: "units",
      note: "what each host more adds to a sweep",
    },
    {
      name: "watch over a host for a minute: table writes",
      value: watch.writes,
      unit: "units",
    },
    {
      name: "a million claims",
      value: claims,
      unit: "$",
      note: "claimed, bound, released, scrubbed, the image loaded again",
    },
    {
      name: "10,000 idle agents, a month",
      value: agents * (talk + open),
      unit: "$",
      note: `${(agents * open).toFixed(0)} $ of it for open sockets; a reconnect every ${reconnectMinutes} min costs less than a ping more`,
    },
  ];
}

/** What claims and idle agents use of what is billed. */
export const cost: Benchmark = {
  name: "cost",
  about:
    "What is billed, counted over real flows on the offline cloud with a real agent on a simulated host of two cards; the table tells its units itself. Dollars are list prices of us-east-1 as of November 2026 (`test/bench/prices.ts`), without free tiers.",
  run: async (short) => {
    const meter = new Meter();
    meter.start();
    try {
      return await onStage(
        async (stage) => {
          const api = apiOf(stage.cloud.url, { "x-project-id": "bench", "x-roles": "admin" });
          const host = await startSimulatedHost({
            name: "cost",
            url: stage.cloud.url,
            dir: join(stage.dataDir, "host"),
            cards: { dfl: 1, alveo: 0, sriov: 0 },
            speed: Number.POSITIVE_INFINITY,
            newToken: async () =>
              (await api<{ joinToken: string }>("POST", "/v1/hosts", { name: "cost" })).joinToken,
          });
          try {
            const image = await imageFor(stage, api, host.id);
            return await measure({ stage, meter, api, host: host.id, image }, short);
          } finally {
            await host.stop();
          }
        },
        {},
        { around: meter.around },
      );
    } finally {
      meter.stop();
    }
  },
};

async function imageFor({ store, cloud, credentials }: Stage, api: Api, host: string) {
  const one = await until("a card on offer", async () =>
    (await deployablesOf(store, host)).find(isOfferable),
  );
  const s3 = new S3Client({ endpoint: cloud.bucketUrl, region: cloud.region, credentials });
  const tour = { api, s3, bucket: cloud.bucket, project: "bench", say: () => undefined };
  const { id } = await upload(tour, cryptoGbs(one.interfaceId ?? ""));
  s3.destroy();
  return id;
}
