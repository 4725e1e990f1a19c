import { expect, test } from "vitest";
import { plants } from "./plants.ts";
import { Seeds } from "./seeds.ts";

/** Each is known to be found by one of these. A change of the system can move it from one to another. */
const known = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

test("there are plants for every part: table, disk, wire, stream, sweep and driver", () => {
  expect(Object.keys(plants).length).toBeGreaterThanOrEqual(10);
  const touched = new Set(Object.values(plants).flatMap(({ plant }) => Object.keys(plant())));
  expect([...touched].sort()).toEqual([
    "driver",
    "frame",
    "losesPushes",
    "noSweep",
    "writes",
    "written",
  ]);
});

test.each(Object.entries(plants))("%s is found", { timeout: 60_000 }, async (plant, { breaks }) => {
  const seeds = new Seeds({ ops: 200, hosts: 2, plant });
  const seen: string[] = [];
  for (const seed of known) {
    const result = await seeds.judge(seed, false);
    if (result.kind === "found") seen.push(result.finding.invariant);
    if (seen.some((invariant) => breaks.some((one) => one === invariant))) return;
  }
  expect.fail(`seeds ${known.join()} found ${seen.join() || "nothing"}, not ${breaks.join()}`);
});
