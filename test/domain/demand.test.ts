import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Demand, leastMissed, noteDemand } from "#domain/demand";
import type { Deployable } from "#domain/deployable";
import { deployable, uuid } from "./builders.ts";

/** Cards that hold these images, by one letter each. */
const holding = (images: string): readonly Deployable[] =>
  images
    .split("")
    .map((imageId, index) =>
      deployable({ id: uuid(index + 1), loaded: { functionId: "f", imageId } }),
    );
const left = (images: string, demand: Demand) =>
  leastMissed(holding(images), demand)
    .map(({ loaded }) => loaded.imageId)
    .join("");

describe("which image makes room", () => {
  it("is the one that is asked for least", () => {
    expect(
      left(
        "abc",
        new Map([
          ["a", 9],
          ["b", 2],
          ["c", 30],
        ]),
      ),
    ).toBe("b");
  });

  it("is a spare copy rather than an only one that is asked for as often", () => {
    expect(
      left(
        "abb",
        new Map([
          ["a", 5],
          ["b", 5],
        ]),
      ),
    ).toBe("bb");
  });

  it("is the only copy of a rare one rather than the second of a very popular one", () => {
    expect(
      left(
        "abb",
        new Map([
          ["a", 1],
          ["b", 50],
        ]),
      ),
    ).toBe("a");
  });

  it("is any where nothing is known, so that racing callers spread", () => {
    expect(left("abc", new Map())).toBe("abc");
    expect(left("", new Map())).toBe("");
  });

  it("is one that nobody can name before one that is asked for", () => {
    const unnamed = deployable({ id: uuid(9), loaded: { functionId: "f" } });
    const chosen = leastMissed([...holding("a"), unnamed], new Map([["a", 3]]));
    expect(chosen).toEqual([unnamed]);
  });

  it("is always one of those given, and at least one", () => {
    const asked = fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.nat(99)));
    fc.assert(
      fc.property(fc.stringMatching(/^[abc]{1,12}$/), asked, (images, entries) => {
        const given = holding(images);
        const chosen = leastMissed(given, new Map(entries));
        expect(chosen.length).toBeGreaterThan(0);
        expect(given).toEqual(expect.arrayContaining([...chosen]));
      }),
    );
  });
});

describe("what is remembered of requests", () => {
  it("follows what is asked for now, and stays small", () => {
    const demand: Demand = new Map();
    for (let request = 0; request < 2_000; request += 1) noteDemand(demand, "old");
    for (let request = 0; request < 50_000; request += 1) noteDemand(demand, `once-${request}`);
    for (let request = 0; request < 900; request += 1) noteDemand(demand, "new");
    expect(demand.get("new")).toBeGreaterThan(demand.get("old") ?? 0);
    expect(demand.has("old")).toBe(false);
    expect(demand.size).toBeLessThan(1_001);
  });
});
