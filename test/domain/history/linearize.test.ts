import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { linearize, type Operation } from "#domain/history/linearize";

/** Whether some order of all answered and any unanswered operations is legal: tries every order. */
function isLinearizable(operations: readonly Operation[]): boolean {
  const place = (
    left: readonly Operation[],
    holder: string | undefined,
    fence: number,
  ): boolean => {
    if (left.every(({ returned }) => returned === undefined)) return true;
    return left.some((one) => {
      const isTooEarly = left.some(
        ({ returned }) => returned !== undefined && returned < one.invoked,
      );
      if (isTooEarly) return false;
      const rest = left.filter((other) => other !== one);
      if (one.act === "release") return holder === one.claim && place(rest, undefined, fence);
      if (holder !== undefined) return false;
      const granted = one.fence ?? fence;
      return (one.fence === undefined || granted > fence) && place(rest, one.claim, granted);
    });
  };
  return place(operations, undefined, -1);
}

const operation = fc.record({
  act: fc.constantFrom<Operation["act"]>("claim", "release"),
  claim: fc.constantFrom("a", "b", "c"),
  fence: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined, freq: 5 }),
  invoked: fc.nat(8),
  lasts: fc.option(fc.nat(5), { nil: undefined, freq: 5 }),
});

const few = fc.array(operation, { maxLength: 6 }).map((list) =>
  list.map(
    ({ lasts, ...one }, index): Operation => ({
      ...one,
      id: `o${index}`,
      returned: lasts === undefined ? undefined : one.invoked + lasts,
    }),
  ),
);

test("it judges as trying every order does", () => {
  const seen = { legal: 0, illegal: 0 };
  fc.assert(
    fc.property(few, (operations) => {
      const { legal } = linearize(operations);
      expect(legal).toBe(isLinearizable(operations));
      seen[legal ? "legal" : "illegal"] += 1;
    }),
    { numRuns: 3000 },
  );
  expect(seen.legal).toBeGreaterThan(100);
  expect(seen.illegal).toBeGreaterThan(100);
});

/** What clients see of a handle that is claimed and released in turn, each act at one moment. */
const lawful = fc
  .array(fc.tuple(fc.nat(9), fc.nat(9), fc.boolean()), { minLength: 1, maxLength: 150 })
  .map((turns) =>
    turns.flatMap(([early, late, isHeard], turn): Operation[] => {
      const point = turn * 10;
      const claim = `c${turn}`;
      const before = { invoked: point - early };
      return [
        { ...before, id: `g${turn}`, act: "claim", claim, fence: 2 * turn, returned: point + late },
        {
          id: `r${turn}`,
          act: "release",
          claim,
          invoked: point + 5 - early,
          // An answer that is lost leaves the operation open for ever.
          returned: isHeard || turn % 10 > 0 ? point + 5 + late : undefined,
        },
      ];
    }),
  );

test("it finds an order of any lawful history, with overlaps and lost answers", () => {
  fc.assert(
    fc.property(lawful, (operations) => {
      const found = linearize(operations.toReversed());
      if (!found.legal) throw new Error(`stuck at ${found.stuck.map(({ id }) => id).join(", ")}`);
      const answered = operations.filter(({ returned }) => returned !== undefined);
      for (const one of answered) expect(found.order).toContain(one);
    }),
    { numRuns: 60 },
  );
});

describe("it refuses", () => {
  const granted = (id: string, fence: number, invoked: number): Operation => ({
    id,
    act: "claim",
    claim: id,
    fence,
    invoked,
    returned: invoked + 1,
  });
  const released = (claim: string, invoked: number): Operation => ({
    id: `release ${claim}`,
    act: "release",
    claim,
    invoked,
    returned: invoked + 1,
  });

  test.each<[string, Operation[], string]>([
    ["two claims without a release between", [granted("a", 1, 0), granted("b", 2, 5)], "b"],
    ["a fence that falls", [granted("a", 5, 0), released("a", 10), granted("b", 3, 20)], "b"],
    ["a release of a claim that holds nothing", [released("a", 0)], "release a"],
    [
      "a release that was answered before the next claim began, of the wrong claim",
      [granted("a", 1, 0), released("b", 5), granted("b", 3, 10)],
      "release b",
    ],
  ])("%s", (_what, operations, stuck) => {
    const found = linearize(operations);
    if (found.legal) throw new Error("it found an order");
    expect(found.stuck.map(({ id }) => id)).toContain(stuck);
  });
});
