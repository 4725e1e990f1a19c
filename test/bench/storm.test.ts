import { beforeEach, expect, test } from "vitest";
import { busiestSecond, StormFleet } from "./storm-fleet.ts";
import { seededRandom, VirtualClock } from "./virtual-clock.ts";

let time: VirtualClock;
let fleet: StormFleet;

beforeEach(() => {
  const random = seededRandom(7);
  time = new VirtualClock();
  fleet = new StormFleet(time, random);
});

/** Starts so many agents, cuts all of them off and lets `ms` pass. */
async function cutOff(agents: number, ms: number): Promise<readonly number[]> {
  await fleet.start(agents, 10_000);
  await time.until(15_000);
  expect(fleet.connected).toBe(agents);
  const before = fleet.connects.length;
  fleet.cut();
  await time.until(time.now() + ms);
  return fleet.connects.slice(before);
}

test("1,200 agents that are cut off at once come back within 4 s, spread over all of them", async () => {
  const connects = await cutOff(1200, 4_100);
  expect(fleet.connected).toBe(1200);
  expect(connects).toHaveLength(1200);
  expect(busiestSecond(connects)).toBeLessThan(400);
});

test("300 agents are back within a second, as a few of them are", async () => {
  await cutOff(300, 1_100);
  expect(fleet.connected).toBe(300);
});

test("a cloud that was away for long has everybody back within 90 s", async () => {
  await cutOff(300, 5_000);
  fleet.away = true;
  fleet.cut();
  await time.until(time.now() + 10 * 60_000);
  expect(fleet.connected).toBe(0);
  fleet.away = false;
  await time.until(time.now() + 90_100);
  expect(fleet.connected).toBe(300);
});

test("the busiest second is looked for at any moment, not from full second to full second", () => {
  expect(busiestSecond([])).toBe(0);
  expect(busiestSecond([0, 900, 950, 1100, 1899, 1900])).toBe(4);
});
