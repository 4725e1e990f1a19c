import { describe, expect, test } from "vitest";
import type { Write, WriteResult } from "#store/table";
import { certain } from "./certain.ts";
import { faultKinds } from "./faults.ts";
import type { Plant } from "./plants.ts";
import type { Random } from "./random.ts";
import {
  bench,
  key,
  other,
  outcomeOf,
  pass,
  put,
  rest,
  truth,
  unavailable,
} from "./table-bench.ts";

const ok = { value: { ok: true } };
const there = (value: number, at = key) => ({ value: { ...at, value } });
const absent = { value: undefined };
const consistent = { consistent: true };

describe("a table without faults", () => {
  test("does what it is asked in a few ms and says so", async () => {
    const one = bench([]);
    expect(await outcomeOf(one, one.table.write([put(key, 1)]))).toEqual(ok);
    expect(one.time.elapsed).toBeGreaterThan(0);
    expect(one.time.elapsed).toBeLessThanOrEqual(12);
    expect(await outcomeOf(one, one.table.get(key, consistent))).toEqual(there(1));
    expect(await outcomeOf(one, one.table.getMany([other, key]))).toEqual({
      value: [undefined, { ...key, value: 1 }],
    });
    expect(one.sim.calls).toBe(3);
  });

  test("tells of a transaction once and as a whole, and of a refused one nothing", async () => {
    const one = bench([]);
    await outcomeOf(one, one.table.write([put(key, 1), put(other, 2)]));
    const refused: Write = { ...put(key, 3), if: { op: "absent", path: "pk" } };
    expect(await outcomeOf(one, one.table.write([refused, put(other, 4)]))).toEqual({
      value: {
        ok: false,
        failures: [{ reason: "condition", item: { ...key, value: 1 } }, undefined],
      },
    });
    expect(one.commits.map((changes) => changes.map(({ after }) => after?.["value"]))).toEqual([
      [1, 2],
    ]);
  });

  test("lets two calls of one moment come in either order", async () => {
    const firsts = new Set<unknown>();
    for (let seed = 0; seed < 20; seed += 1) {
      const one = bench([], { random: certain(seed) });
      for (const at of [key, other]) void one.table.write([put(at, 0)]);
      await rest(one);
      firsts.add(one.commits[0]?.[0]?.key.pk);
    }
    expect(firsts).toEqual(new Set([key.pk, other.pk]));
  });
});

describe("a table that throttles", () => {
  test("refuses each call and has done nothing", async () => {
    const one = bench(["throttle"]);
    const { table } = one;
    const calls = [
      () => table.write([put(key, 1)]),
      () => table.get(key, consistent),
      () => table.getMany([key]),
      () => table.query({ pk: key.pk }),
    ];
    for (const call of calls) {
      expect(await outcomeOf<unknown>(one, call())).toMatchObject({ error: unavailable });
    }
    await rest(one);
    expect(one.commits).toEqual([]);
    expect(await truth(one)).toBeUndefined();
  });

  test("serves again when the faults are over", async () => {
    const one = bench(["throttle"]);
    one.stop();
    expect(await outcomeOf(one, one.table.write([put(key, 1)]))).toEqual(ok);
  });
});

describe("a table with conflicts", () => {
  test("refuses a transaction because of one of its rows and has done nothing", async () => {
    const struck = new Set<number>();
    for (let seed = 0; seed < 20; seed += 1) {
      const one = bench(["conflict"], { random: certain(seed) });
      const outcome = await outcomeOf(one, one.table.write([put(key, 1), put(other, 2)]));
      const { value } = outcome as { value: WriteResult };
      const failures = value.ok ? [] : value.failures;
      expect(failures).toHaveLength(2);
      expect(failures.filter((each) => each !== undefined)).toEqual([{ reason: "conflict" }]);
      struck.add(failures.findIndex((each) => each !== undefined));
      await rest(one);
      expect(one.commits).toEqual([]);
    }
    expect(struck).toEqual(new Set([0, 1]));
  });

  test("has none for a single row", async () => {
    const one = bench(["conflict"]);
    expect(await outcomeOf(one, one.table.write([put(key, 1)]))).toEqual(ok);
  });
});

describe("a table whose answers are lost", () => {
  test("has done what it says it could not do", async () => {
    const one = bench(["timeout"]);
    const outcome = await outcomeOf(one, one.table.write([put(key, 1), put(other, 2)]));
    expect(outcome).toMatchObject({ error: unavailable });
    expect(one.commits).toHaveLength(1);
    expect([await truth(one), await truth(one, other)]).toEqual([1, 2]);
  });

  test("answers no read", async () => {
    const one = bench(["timeout"]);
    await one.sim.plain.write([put(key, 1)]);
    const outcome = await outcomeOf(one, one.table.get(key, consistent));
    expect(outcome).toMatchObject({ error: unavailable });
  });
});

describe("a table with late writes", () => {
  test("does within five seconds what it says it could not do", async () => {
    const delays: number[] = [];
    for (let seed = 0; seed < 20; seed += 1) {
      const one = bench(["late-write"], { random: certain(seed) });
      const outcome = await outcomeOf(one, one.table.write([put(key, 1)]));
      expect(outcome).toMatchObject({ error: unavailable });
      expect(one.commits).toEqual([]);
      const answered = one.time.elapsed;
      await rest(one);
      expect(await truth(one)).toBe(1);
      delays.push(one.time.elapsed - answered);
    }
    expect(Math.max(...delays)).toBeLessThan(5000);
    expect(Math.max(...delays)).toBeGreaterThan(1000);
  });

  test("judges a condition when the write comes, not when it was sent", async () => {
    const one = bench(["late-write"]);
    const first: Write = { ...put(key, 1), if: { op: "absent", path: "pk" } };
    await outcomeOf(one, one.table.write([first]));
    await one.sim.plain.write([put(key, 2)]);
    await rest(one);
    expect(await truth(one)).toBe(2);
    expect(one.commits).toHaveLength(1);
  });
});

/** A stream in which these of the possible chances come true, one after the other. */
function scripted(...script: readonly boolean[]): Random {
  const left = [...script];
  return { ...certain(), chance: (probability) => probability > 0 && left.shift() === true };
}

describe("a function that crashes", () => {
  test("on its way to the table does nothing and hears nothing", async () => {
    const one = bench(["function-crash"], { random: scripted(true) });
    expect(await outcomeOf(one, one.table.write([put(key, 1)]))).toBe("silence");
    expect(one.caller.isOver).toBe(true);
    expect(one.commits).toEqual([]);
  });

  test("on its way back has done it and hears nothing", async () => {
    const one = bench(["function-crash"], { random: scripted(false, true) });
    expect(await outcomeOf(one, one.table.write([put(key, 1)]))).toBe("silence");
    expect(one.caller.isOver).toBe(true);
    expect(await truth(one)).toBe(1);
  });

  test("calls and wakes no more", async () => {
    const one = bench([]);
    const { sleep } = one.sim.storeOf(one.caller);
    const [asleep, reading] = [sleep(500), one.table.get(key)];
    one.caller.isOver = true;
    expect(await outcomeOf<unknown>(one, Promise.race([asleep, reading]))).toBe("silence");
    expect(await outcomeOf(one, one.table.write([put(key, 1)]))).toBe("silence");
    expect(one.commits).toEqual([]);
  });

  test("takes no other with it", async () => {
    const one = bench(["function-crash"], { random: scripted(true) });
    await outcomeOf(one, one.table.get(key));
    const { table } = one.sim.storeOf({ isOver: false });
    expect(await outcomeOf(one, table.write([put(key, 1)]))).toEqual(ok);
  });
});

describe("indexes and reads that ask for no consistency", () => {
  const pooled = { ...key, gsi1pk: "FREE", gsi1sk: "1" };
  const query = { index: "gsi1", pk: "FREE" } as const;
  /** The longest lag there is. */
  const slowest: Random = { ...certain(), below: (limit) => limit - 1 };

  test("are behind for seconds when they lag", async () => {
    const one = bench(["index-lag"], { random: slowest });
    await one.sim.plain.write([{ kind: "put", item: pooled }]);
    expect(await outcomeOf(one, one.table.query(query))).toEqual({ value: { items: [] } });
    expect(await outcomeOf(one, one.table.get(key))).toEqual(absent);
    expect(await outcomeOf(one, one.table.get(key, consistent))).toEqual({ value: pooled });
    expect(await outcomeOf(one, one.table.getMany([key]))).toEqual({ value: [pooled] });
    const own = { pk: key.pk, consistent: true };
    expect(await outcomeOf(one, one.table.query(own))).toEqual({ value: { items: [pooled] } });
    await pass(one, 4000);
    expect(await outcomeOf(one, one.table.query(query))).toEqual({ value: { items: [pooled] } });
    expect(await outcomeOf(one, one.table.get(key))).toEqual({ value: pooled });
  });

  test("are there in a moment when they do not", async () => {
    const one = bench([], { random: slowest });
    await one.sim.plain.write([{ kind: "put", item: pooled }]);
    await pass(one, 10);
    expect(await outcomeOf(one, one.table.query(query))).toEqual({ value: { items: [pooled] } });
  });

  test("never show a row as it was before what they have shown of it", async () => {
    for (let seed = 0; seed < 10; seed += 1) {
      const one = bench(["index-lag"], { random: certain(seed) });
      const seen: number[] = [];
      for (let value = 1; value <= 30; value += 1) {
        await one.sim.plain.write([put(key, value)]);
        const outcome = await outcomeOf(one, one.table.get(key));
        if ("value" in Object(outcome)) {
          const { value: row } = outcome as { value: { value: number } | undefined };
          seen.push(row?.value ?? 0);
        }
        await pass(one, 200);
      }
      expect(seen).toHaveLength(30);
      expect(seen).toEqual(seen.toSorted((a, b) => a - b));
      expect(new Set(seen).size).toBeGreaterThan(1);
    }
  });
});

test("the plain table knows no faults", async () => {
  const one = bench(faultKinds);
  expect(await one.sim.plain.write([put(key, 1), put(other, 2)])).toEqual({ ok: true });
  expect(await one.sim.plain.get(key)).toEqual({ ...key, value: 1 });
  expect(one.time.elapsed).toBe(0);
  expect(one.commits).toHaveLength(1);
});

test("a plant decides what is written", async () => {
  const plant: Plant = { writes: (writes) => writes.slice(1) };
  const one = bench([], { plant });
  expect(await outcomeOf(one, one.table.write([put(key, 1), put(other, 2)]))).toEqual(ok);
  expect([await truth(one), await truth(one, other)]).toEqual([undefined, 2]);
});
