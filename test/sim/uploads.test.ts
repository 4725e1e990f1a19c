import { expect, test } from "vitest";
import { certain, faultsOf } from "./certain.ts";
import type { FaultKind } from "./faults.ts";
import { streamsOf } from "./random.ts";
import { Time } from "./time.ts";
import { Uploads } from "./uploads.ts";

const object = { key: "images/red/logic", version: "version-1" };
const never = () => false;

/** Uploads whose function fails so often, with the moments at which it ran. */
function uploadsOf(failures: number, ...kinds: readonly FaultKind[]) {
  const time = new Time(streamsOf(1)("ties"));
  const ran: number[] = [];
  const uploads = new Uploads({
    time,
    faults: faultsOf(...kinds),
    random: certain(),
    judge: async () => {
      ran.push(time.elapsed);
      return await Promise.resolve(ran.length > failures);
    },
  });
  return { time, uploads, ran };
}

test("an event comes once and soon on a fair day", async () => {
  const { time, uploads, ran } = uploadsOf(0);
  uploads.changed(object);
  await time.run(never);
  expect(ran).toHaveLength(1);
  expect(ran[0]).toBeLessThan(1000);
});

test("an event comes twice where it may", async () => {
  const { time, uploads, ran } = uploadsOf(0, "event-double", "event-late");
  uploads.changed(object);
  await time.run(never);
  expect(ran).toHaveLength(2);
});

test("a function that fails is tried after one minute and after two more", async () => {
  const { time, uploads, ran } = uploadsOf(2);
  uploads.changed(object);
  await time.run(never);
  const [first = 0, second = 0, third = 0] = ran;
  expect(ran).toHaveLength(3);
  expect([second - first, third - second]).toEqual([60_000, 120_000]);
});

test("what failed three times waits for the operator, and is sent once by each redrive", async () => {
  const { time, uploads, ran } = uploadsOf(3);
  uploads.changed(object);
  await time.run(never);
  expect(ran).toHaveLength(3);
  uploads.redrive();
  uploads.redrive();
  await time.run(never);
  expect(ran).toHaveLength(4);
});
