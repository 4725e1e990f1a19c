import { getEventListeners } from "node:events";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { streamsOf } from "./random.ts";
import { epoch, Time } from "./time.ts";

const timeOf = (seed = 1): Time => new Time(streamsOf(seed)("ties"));
const never = () => false;

describe("events", () => {
  test("come at their moments, whatever the order in which they were asked for", async () => {
    const delays = fc.array(fc.integer({ min: 0, max: 1000 }), { maxLength: 200 });
    await fc.assert(
      fc.asyncProperty(delays, fc.nat(), async (delays, seed) => {
        const time = timeOf(seed);
        const seen: number[] = [];
        for (const ms of delays) {
          time.after(ms, () => {
            expect(time.elapsed).toBe(ms);
            seen.push(ms);
          });
        }
        await time.run(never);
        expect(seen).toEqual(delays.toSorted((a, b) => a - b));
        expect(time.steps).toBe(delays.length);
      }),
      { numRuns: 50 },
    );
  });

  test("of one moment come in an order that the seed gives", async () => {
    const orderOf = async (seed: number) => {
      const time = timeOf(seed);
      const seen: number[] = [];
      for (const name of [0, 1, 2, 3, 4, 5]) time.after(5, () => seen.push(name));
      await time.run(never);
      return seen.join("");
    };
    const seeds = Array.from({ length: 20 }, (_, seed) => seed);
    const orders = await Promise.all(seeds.map(orderOf));
    expect(await Promise.all(seeds.map(orderOf))).toEqual(orders);
    expect(new Set(orders).size).toBeGreaterThan(10);
  });

  test("are never in the past and never between two milliseconds", async () => {
    const time = timeOf();
    const seen: number[] = [];
    time.after(10, () => {
      for (const ms of [-5, 0, 0.2, 1]) time.after(ms, () => seen.push(time.elapsed));
    });
    await time.run(never);
    expect(seen).toEqual([10, 10, 11, 11]);
    expect(time.wall()).toBe(epoch + 11);
  });

  test("wait until every promise that can go on has gone on", async () => {
    const time = timeOf();
    let steps = 0;
    time.after(1, () => {
      void (async () => {
        for (; steps < 100; steps += 1) await Promise.resolve();
      })();
    });
    let seen = -1;
    time.after(2, () => {
      seen = steps;
    });
    await time.run(never);
    expect(seen).toBe(100);
  });

  test("that throw end the run with what they threw", async () => {
    const time = timeOf();
    let isLate = false;
    time.after(1, () => {
      throw new RangeError("broken");
    });
    time.after(2, () => {
      isLate = true;
    });
    await expect(time.run(never)).rejects.toThrow(new RangeError("broken"));
    expect(isLate).toBe(false);
  });
});

describe("a run", () => {
  test("ends before the event by which it is over, and goes on from there", async () => {
    const time = timeOf();
    const seen: number[] = [];
    for (const ms of [1, 2, 3]) time.after(ms, () => seen.push(ms));
    await time.run(() => seen.length === 2);
    expect([seen, time.elapsed]).toEqual([[1, 2], 2]);
    await time.run(never);
    expect([seen, time.elapsed]).toEqual([[1, 2, 3], 3]);
  });

  test("with nothing left to come ends at once", async () => {
    const time = timeOf();
    await time.run(never);
    expect([time.elapsed, time.steps]).toEqual([0, 0]);
  });
});

describe("a sleep", () => {
  test("lasts its time", async () => {
    const time = timeOf();
    let woken = -1;
    void time.sleep(1234).then(() => {
      woken = time.elapsed;
    });
    await time.run(never);
    expect(woken).toBe(1234);
  });

  test("ends at the moment its signal aborts", async () => {
    const time = timeOf();
    const over = new AbortController();
    const woken: number[] = [];
    void time.sleep(1000, over.signal).then(() => woken.push(time.elapsed));
    time.after(40, () => over.abort());
    await time.run(never);
    expect(woken).toEqual([40]);
  });

  test("does not begin when its signal is aborted", async () => {
    const time = timeOf();
    await time.sleep(1000, AbortSignal.abort());
    await time.run(never);
    expect([time.elapsed, time.steps]).toEqual([0, 0]);
  });

  test("holds on to its signal no longer than the run", async () => {
    const time = timeOf();
    const over = new AbortController();
    let isWoken = false;
    const wake = () => {
      isWoken = true;
    };
    void time.sleep(1000, over.signal).then(wake);
    expect(getEventListeners(over.signal, "abort")).toHaveLength(1);
    time.close();
    expect(getEventListeners(over.signal, "abort")).toEqual([]);
    over.abort();
    await time.run(never);
    expect([isWoken, time.steps]).toEqual([false, 0]);
  });
});
