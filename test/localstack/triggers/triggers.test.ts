import { expect, test } from "vitest";
import type { Handler } from "../../../functions/entry.ts";
import { readService } from "../../../localstack/gateway/service.ts";
import { type Clock, systemClock } from "../../../localstack/triggers/clock.ts";
import { rateOf } from "../../../localstack/triggers/schedule.ts";
import { startTriggers, type TriggerOptions } from "../../../localstack/triggers/triggers.ts";

const service = readService("serverless.yml");
const place = {
  account: "000000000000",
  region: "us-east-1",
  stage: "offline",
  apiId: "gatehouse",
};

interface ManualClock extends Clock {
  readonly ticks: { milliseconds: number; tick: () => void; stopped: boolean }[];
  readonly waits: number[];
}

function manualClock(): ManualClock {
  const ticks: ManualClock["ticks"] = [];
  const waits: number[] = [];
  return {
    ticks,
    waits,
    now: () => Date.UTC(2026, 0, 2, 3, 4, 5),
    sleep: async (milliseconds) => void waits.push(milliseconds),
    every: (milliseconds, tick) => {
      const entry = { milliseconds, tick, stopped: false };
      ticks.push(entry);
      return () => {
        entry.stopped = true;
      };
    },
  };
}

function start(
  handlers: Readonly<Record<string, Handler>>,
  clock: Clock = manualClock(),
  more: Partial<TriggerOptions> = {},
) {
  return startTriggers({
    service,
    place,
    clock,
    references: { Bucket: "images" },
    load: async (handler) =>
      handlers[handler] ?? (async () => Promise.reject(new Error(`no ${handler}`))),
    ...more,
  });
}

const uploaded = (key: string, type = "Object Created") => ({
  source: "aws.s3",
  "detail-type": type,
  detail: { bucket: { name: "images" }, object: { key } },
});

test("a bucket event reaches the function whose pattern in serverless.yml it matches", async () => {
  const seen: unknown[] = [];
  const triggers = start({
    "functions/events/image-uploaded.handler": async (event) => void seen.push(event),
  });
  const events = [uploaded("images/p/x.gbs"), uploaded("images/p/x.gbs", "Object Tags Added")];
  for (const event of events) await triggers.onBucketEvent(event);
  await triggers.onBucketEvent(uploaded("verified/abc"));
  await triggers.onBucketEvent(uploaded("images/p/x.gbs", "Object Deleted"));
  await triggers.onBucketEvent({
    ...uploaded("images/p/x"),
    detail: { bucket: { name: "other" }, object: { key: "images/p/x" } },
  });
  expect(seen).toEqual(events);
  await triggers.close();
});

test("a bucket event that fails is tried twice more, then given back", async () => {
  const clock = manualClock();
  const heard: string[] = [];
  let calls = 0;
  const triggers = start(
    {
      "functions/events/image-uploaded.handler": async () => {
        calls += 1;
        if (calls !== 3 + 2) throw new Error("x");
      },
    },
    clock,
    { onFailure: (name) => heard.push(name) },
  );
  await expect(triggers.onBucketEvent(uploaded("images/p/x"))).rejects.toThrow("x");
  expect([calls, clock.waits]).toEqual([3, [1000, 2000]]);
  expect(heard).toEqual(["imageUploaded", "imageUploaded", "imageUploaded"]);
  await triggers.onBucketEvent(uploaded("images/p/x"));
  expect(calls).toBe(5);
  await triggers.close();
});

test("changes reach the function that reads the table's stream, but for those it filters out", async () => {
  const seen: unknown[] = [];
  const triggers = start({
    "functions/events/table-changed.handler": async (event) => void seen.push(event),
  });
  const record = {
    eventID: "1",
    dynamodb: { Keys: { pk: { S: "a" }, sk: { S: "HOST" } }, SequenceNumber: "1" },
  };
  const other = { dynamodb: { Keys: { pk: { S: "a" }, sk: { S: "BEAT" } }, SequenceNumber: "2" } };
  await triggers.streams[0]?.onChanges([other, record]);
  await triggers.streams[0]?.onChanges([other]);
  expect(seen).toEqual([{ Records: [record] }]);
  await triggers.close();
});

/** Which of the schedules is the sweep's: they come in the order of serverless.yml. */
const sweepTick = service.functions
  .filter(({ schedules }) => schedules.length > 0)
  .findIndex(({ name }) => name === "sweep");

test("the schedule calls its function at its rate until the end", async () => {
  const clock = manualClock();
  const seen: unknown[] = [];
  const triggers = start(
    { "functions/events/sweep.handler": async (event) => void seen.push(event) },
    clock,
  );
  const schedule = clock.ticks[sweepTick];
  expect(schedule?.milliseconds).toBe(60_000);
  schedule?.tick();
  await triggers.close();
  expect(seen).toMatchObject([
    { "detail-type": "Scheduled Event", source: "aws.events", time: "2026-01-02T03:04:05Z" },
  ]);
  expect(schedule?.stopped).toBe(true);
});

test("a tick that fails does not stop the next one", async () => {
  const clock = manualClock();
  const heard: string[] = [];
  const triggers = start({}, clock, { onFailure: (name) => heard.push(name) });
  clock.ticks[sweepTick]?.tick();
  clock.ticks[sweepTick]?.tick();
  await triggers.close();
  expect(heard).toEqual(["sweep", "sweep"]);
});

test("after the end nothing is taken, so that the sources keep it", async () => {
  const triggers = start({});
  await triggers.close();
  const record = { dynamodb: { Keys: { pk: { S: "a" } }, SequenceNumber: "1" } };
  await expect(triggers.streams[0]?.onChanges([record])).rejects.toMatchObject({
    name: "TriggersClosed",
  });
  await expect(triggers.onBucketEvent(uploaded("images/p/x"))).rejects.toMatchObject({
    name: "TriggersClosed",
  });
});

test("rates are read as AWS reads them", () => {
  expect(rateOf("rate(1 minute)")).toBe(60_000);
  expect(rateOf("rate(5 minutes)")).toBe(300_000);
  expect(rateOf("rate(1 hour)")).toBe(3_600_000);
  expect(rateOf("rate(2 days)")).toBe(172_800_000);
  for (const wrong of ["rate(1 minutes)", "rate(5 minute)", "rate(0 minutes)", "cron(0 * * * ? *)"])
    expect(() => rateOf(wrong)).toThrow(wrong);
});

test("a sleeper wakes when the end comes", async () => {
  const ending = new AbortController();
  const sleeping = systemClock.sleep(3_600_000, ending.signal);
  ending.abort();
  await sleeping;
  await systemClock.sleep(3_600_000, ending.signal);
  const ticked = Promise.withResolvers<undefined>();
  const stop = systemClock.every(1, () => ticked.resolve(undefined));
  await ticked.promise;
  stop();
});
