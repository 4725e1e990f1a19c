import type { DynamoDBRecord } from "aws-lambda";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createChangeTrigger } from "../../../localstack/triggers/changes.ts";
import type { Clock } from "../../../localstack/triggers/clock.ts";
import type { LaneOptions } from "../../../localstack/triggers/lane.ts";

const change = (pk: string, number: number): DynamoDBRecord => ({
  eventID: String(number),
  dynamodb: { Keys: { pk: { S: pk }, sk: { S: String(number) } }, SequenceNumber: String(number) },
});
const numberOf = (record: DynamoDBRecord): number => Number(record.eventID);

interface Rig {
  readonly waits: number[];
  readonly abort: () => void;
  readonly options: LaneOptions;
}

function rig(
  invoke: (numbers: number[]) => unknown,
  more: Partial<LaneOptions["model"]> & Pick<LaneOptions, "deadLetter"> = {},
): Rig {
  const waits: number[] = [];
  const ending = new AbortController();
  const clock: Clock = {
    now: () => 0,
    sleep: async (milliseconds) => void waits.push(milliseconds),
    every: () => () => undefined,
  };
  const { deadLetter, ...model } = more;
  const options: LaneOptions = {
    model: {
      batchSize: 3,
      lanes: 1,
      bisect: true,
      reportsItemFailures: true,
      maximumRetryAttempts: 2,
      ...model,
    },
    clock,
    signal: ending.signal,
    invoke: async (records) => invoke(records.map(numberOf)),
    ...(deadLetter && { deadLetter }),
  };
  return { waits, abort: () => ending.abort(), options };
}

const failing = (...numbers: number[]) => ({
  batchItemFailures: numbers.map((number) => ({ itemIdentifier: String(number) })),
});
const changes = (count: number): DynamoDBRecord[] =>
  Array.from({ length: count }, (_, index) => change("k", index + 1));

test("changes go in batches of the configured size, in order", async () => {
  const batches: number[][] = [];
  const { options } = rig((numbers) => void batches.push(numbers));
  await createChangeTrigger(options, "pk").handle(changes(7));
  expect(batches).toEqual([[1, 2, 3], [4, 5, 6], [7]]);
});

test("after a reported failure only what was not done comes again", async () => {
  const batches: number[][] = [];
  const { options } = rig((numbers) => {
    batches.push(numbers);
    return batches.length === 1 ? failing(3, 2) : { batchItemFailures: [] };
  });
  await createChangeTrigger(options, "pk").handle(changes(3));
  expect(batches).toEqual([[1, 2, 3], [2], [3]]);
});

test("a handler that throws gets the halves of its batch at once, in order", async () => {
  const batches: number[][] = [];
  let broken = 2;
  const { options, waits } = rig((numbers) => {
    batches.push(numbers);
    if (numbers.includes(2) && broken-- > 0) throw new Error("x");
  });
  await createChangeTrigger(options, "pk").handle(changes(3));
  expect(batches).toEqual([[1, 2, 3], [1, 2], [1], [2], [3]]);
  expect(waits).toEqual([]);
});

test("waits grow with each try and the poisonous change alone is dead-lettered", async () => {
  const dead: number[] = [];
  const done: number[] = [];
  const { options, waits } = rig(
    (numbers) => {
      if (numbers.includes(2)) throw new Error("x");
      done.push(...numbers);
    },
    { deadLetter: (record) => void dead.push(numberOf(record)) },
  );
  await createChangeTrigger(options, "pk").handle(changes(4));
  expect([dead, done, waits]).toEqual([[2], [1, 3, 4], [100, 200]]);
});

test("without bisect the whole batch is tried again", async () => {
  const batches: number[][] = [];
  const { options } = rig(
    (numbers) => {
      batches.push(numbers);
      if (batches.length < 3) throw new Error("x");
    },
    { bisect: false },
  );
  await createChangeTrigger(options, "pk").handle(changes(2));
  expect(batches).toEqual([
    [1, 2],
    [1, 2],
    [1, 2],
  ]);
});

test("with nowhere to put it, or a dead letter box that fails, a change is tried for ever", async () => {
  for (const deadLetter of [undefined, () => Promise.reject(new Error("full"))]) {
    let tries = 0;
    const { options } = rig(
      () => {
        tries += 1;
        if (tries < 30) throw new Error("x");
      },
      deadLetter === undefined ? {} : { deadLetter },
    );
    await createChangeTrigger(options, "pk").handle(changes(1));
    expect(tries).toBe(30);
  }
});

test("an unknown identifier fails the whole batch, and reports count only when configured", async () => {
  const batches: number[][] = [];
  const odd = rig((numbers) => {
    batches.push(numbers);
    return batches.length === 1 ? failing(99) : undefined;
  });
  await createChangeTrigger(odd.options, "pk").handle(changes(2));
  expect(batches).toEqual([[1, 2], [1], [2]]);
  let calls = 0;
  const deaf = rig(
    (numbers) => {
      calls += 1;
      return failing(...numbers);
    },
    { reportsItemFailures: false },
  );
  await createChangeTrigger(deaf.options, "pk").handle(changes(2));
  expect(calls).toBe(1);
});

test("what is not done at the end is rejected, not acknowledged", async () => {
  const handled: number[] = [];
  const { options, abort } = rig((numbers) => {
    if (numbers.includes(1)) abort();
    else handled.push(...numbers);
    throw new Error("x");
  });
  const trigger = createChangeTrigger(options, "pk");
  await expect(trigger.handle(changes(5))).rejects.toMatchObject({ name: "TriggersClosed" });
  await trigger.settled();
  expect(handled).toEqual([]);
});

test("every change is handled, those of one key in order and never side by side, whatever fails", async () => {
  const key = fc.constantFrom("a", "b", "c", "d");
  await fc.assert(
    fc.asyncProperty(
      fc.array(key, { maxLength: 30 }),
      fc.array(fc.nat(5), { maxLength: 20 }),
      fc.integer({ min: 1, max: 4 }),
      async (keys, faults, lanes) => {
        const handled: number[] = [];
        const busy = new Set<string>();
        const plan = [...faults];
        const keyOf = (number: number): string => keys[number] ?? "";
        const { options } = rig(() => undefined, { lanes, maximumRetryAttempts: -1 });
        const invoke: LaneOptions["invoke"] = async (records) => {
          const numbers = records.map(numberOf);
          const mine = [...new Set(numbers.map(keyOf))];
          for (const one of mine) {
            expect(busy.has(one)).toBe(false);
            busy.add(one);
          }
          await Promise.resolve();
          for (const one of mine) busy.delete(one);
          const fault = plan.shift() ?? 5;
          if (fault === 0) throw new Error("x");
          const failed = numbers[fault - 1];
          handled.push(...numbers.slice(0, failed === undefined ? numbers.length : fault - 1));
          return failed === undefined ? undefined : failing(failed);
        };
        const trigger = createChangeTrigger({ ...options, invoke }, "pk");
        await trigger.handle(keys.map((each, index) => change(each, index)));
        for (const each of new Set(keys)) {
          const mine = handled.filter((number) => keyOf(number) === each);
          expect(mine).toEqual(mine.toSorted((one, other) => one - other));
        }
        expect(handled.toSorted((one, other) => one - other)).toEqual(
          keys.map((_, index) => index),
        );
      },
    ),
  );
});
