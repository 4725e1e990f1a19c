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

test("windows double from 1 s to 60 s, and each is waited out before the next", async () => {
  const { backoff: pace, slept, signal } = backoff(() => 0.25);
  for (let failures = 0; failures < 9; failures++) {
    pace.failed();
    await pace.turn(signal);
  }
  const windows = [1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000);
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
