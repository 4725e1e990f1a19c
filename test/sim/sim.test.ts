import { describe, expect, test } from "vitest";
import { Crowd } from "./crowd.ts";
import { invariants } from "./judge/invariants.ts";
import { type Finding, numbersOf, rangesOf, Seeds } from "./seeds.ts";

/** How a finding is told: what broke, and the line that shows it again. */
const told = ({ invariant, what, replay }: Finding): string =>
  `${invariant}: ${Object.entries(invariants).find(([name]) => name === invariant)?.[1] ?? what}\n${what}\n${replay}`;

/** Seeds of 1,000 ops, about half a second each. `npm run sim` goes on from here. */
const slice = Array.from({ length: 5 }, (_, part) => 1 + part * 10);

describe("the whole system under every kind of fault", () => {
  test.each(slice)(
    "keeps every invariant: ten seeds from %i",
    { timeout: 120_000 },
    async (first) => {
      const seeds = new Seeds({ ops: 1000, hosts: 2 });
      for (let seed = first; seed < first + 10; seed += 1) {
        const result = await seeds.judge(seed);
        if (result.kind === "found") expect.fail(told(result.finding));
        expect(result.result.requests).toBeGreaterThan(100);
      }
    },
  );

  test("with many hosts does so too", { timeout: 60_000 }, async () => {
    const result = await new Seeds({ ops: 500, hosts: 8 }).judge(1);
    if (result.kind === "found") expect.fail(told(result.finding));
  });

  test("on a fair day has nothing to answer but what was asked for", {
    timeout: 60_000,
  }, async () => {
    const result = await new Seeds({ ops: 500, hosts: 2, faults: [] }).judge(3);
    if (result.kind === "found") expect.fail(told(result.finding));
    expect(result.result.faults).toEqual([]);
  });
});

describe("a run", () => {
  const seeds = new Seeds({ ops: 200, hosts: 2 });

  test("is the same for the same seed, event by event, and another one for another", async () => {
    const [one, again, other] = [await seeds.run(7), await seeds.run(7), await seeds.run(8)];
    expect(again).toEqual(one);
    expect(other.hash).not.toBe(one.hash);
  });

  test("is the same whether or not somebody watches", async () => {
    const lines: string[] = [];
    const watched = await seeds.run(7, { log: (line) => lines.push(line) });
    expect(watched.hash).toBe((await seeds.run(7)).hash);
    expect(lines.length).toBeGreaterThan(200);
  });

  test("turns different kinds of faults on for different seeds", async () => {
    const kinds = new Set<string>();
    for (let seed = 1; seed <= 8; seed += 1) {
      for (const kind of (await seeds.run(seed)).faults) kinds.add(kind);
    }
    expect(kinds.size).toBeGreaterThan(15);
  });
});

test("a finding says the smallest run that was found, as a line that shows it again", async () => {
  const plant = "quota-twice";
  const found = await new Seeds({ ops: 60, hosts: 2, plant }).judge(1);
  if (found.kind !== "found") throw new Error("the plant was not found");
  const { cut, replay, invariant } = found.finding;
  expect(cut?.keep.length).toBeLessThan(30);
  const keep = /--keep (\S+)/.exec(replay)?.[1] ?? "";
  expect(replay).toContain(`--seed 1 --ops 60 --hosts 2 --verbose --plant ${plant}`);
  expect(replay).toMatch(/--faults \S+/);
  const again = await new Seeds({ ops: 60, hosts: 2, plant }).run(1, {
    keep: numbersOf(keep),
    faults: cut?.faults,
  });
  expect(again.violation?.invariant).toBe(invariant);
});

test("numbers are written as ranges and read again", () => {
  expect(rangesOf([3, 7, 8, 9, 12])).toBe("3,7-9,12");
  expect(numbersOf("3,7-9,12")).toEqual([3, 7, 8, 9, 12]);
  expect(() => numbersOf("3,x")).toThrow("x is no number and no range");
});

test("a crowd counts its seeds, and says when one of them found something", async () => {
  const shown: Finding[] = [];
  const lines: string[] = [];
  const options = {
    first: 1,
    seeds: 3,
    minutes: 1,
    workers: 1,
    show: (finding: Finding) => shown.push(finding),
    say: (line: string) => lines.push(line),
  };
  expect(await new Crowd({ ops: 60, hosts: 2 }, options).run()).toBe(true);
  expect(lines.at(-1)).toMatch(/^seeds 1 to 3: 3 done, 0 found something/);
  expect(await new Crowd({ ops: 60, hosts: 2, plant: "quota-twice" }, options).run()).toBe(false);
  expect(shown[0]).toMatchObject({ seed: 1, invariant: "I3" });
});
