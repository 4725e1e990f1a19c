import { expect, test } from "vitest";
import { Backoff } from "../../../agent/session/backoff.ts";

function backoff(random: () => number) {
  const slept: number[] = [];
  const sleep = async (ms: number) => {
    slept.push(ms);
  };
  const clock = { wall: () => 0, monotonic: () => 0 };
  const runtime = { clock, random, sleep, log: () => undefined, failpoint: () => undefined };
  return { backoff: new Backoff(runtime), slept, signal: new AbortController().signal };
}

test("the first try is due at once", async () => {
  const { backoff: pace, slept, signal } = backoff(() => 0.5);
  await pace.turn(signal);
  expect(slept).toEqual([]);
});

test("windows double from 1 s to 45 s, and each is waited out before the next", async () => {
  const { backoff: pace, slept, signal } = backoff(() => 0.25);
  for (let failures = 0; failures < 9; failures++) {
    pace.failed();
    await pace.turn(signal);
  }
  const windows = [1, 2, 4, 8, 16, 32, 45, 45, 45].map((seconds) => seconds * 1000);
  const expected = windows.map((window, n) => 0.75 * (windows[n - 1] ?? 0) + 0.25 * window);
  expect(slept).toEqual([250, ...expected.slice(1)]);
});

test("after a success the windows start again", async () => {
  const { backoff: pace, slept, signal } = backoff(() => 0.5);
  for (let failures = 0; failures < 5; failures++) pace.failed();
  pace.succeeded();
  await pace.turn(signal);
  pace.failed();
  await pace.turn(signal);
  expect(slept).toEqual([500]);
});

test.each([
  [0, 60_000],
  [0.999, 119_940],
])("a penalty with random %f lasts %i ms", async (random, ms) => {
  const { backoff: pace, slept, signal } = backoff(() => random);
  await pace.penalty(signal);
  expect(slept).toEqual([ms]);
});

const firstWaits = async (reconnectMs: number | undefined, tries: number) => {
  const { backoff: pace, slept, signal } = backoff(() => 0);
  pace.learn(reconnectMs);
  for (let failures = 0; failures <= tries; failures++) {
    pace.failed();
    await pace.turn(signal);
  }
  // Each wait is the rest of the window before, since every try comes at the start of its own.
  return slept.slice(1);
};

test("a fleet's window is the first one and doubles like any other, to 45 s", async () => {
  expect(await firstWaits(10_000, 4)).toEqual([10_000, 20_000, 40_000, 45_000]);
});

test("a window beyond 45 s stays as wide as it was asked for, up to ten minutes", async () => {
  expect(await firstWaits(90_000, 2)).toEqual([90_000, 90_000]);
  expect(await firstWaits(Number.MAX_SAFE_INTEGER, 2)).toEqual([600_000, 600_000]);
});

test.each([[undefined], [0], [999]])("a fleet's window of %s is a second", async (asked) => {
  expect(await firstWaits(asked, 2)).toEqual([1000, 2000]);
});

test("the newest welcome counts, also when it says nothing", async () => {
  const { backoff: pace, slept, signal } = backoff(() => 0.5);
  pace.learn(30_000);
  pace.learn(undefined);
  pace.failed();
  await pace.turn(signal);
  expect(slept).toEqual([500]);
});
