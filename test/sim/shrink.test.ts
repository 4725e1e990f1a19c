import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type FaultKind, faultKinds } from "./faults.ts";
import type { Invariant } from "./judge/invariants.ts";
import { type Cut, type Rerun, shrink } from "./shrink.ts";

const hundred = Array.from({ length: 100 }, (_, id) => id);
const everything: Cut = { keep: hundred, faults: faultKinds };

/** A run that breaks I1 when all of these ops and kinds of faults are in it. */
function needs(ops: readonly number[], faults: readonly FaultKind[]): Rerun {
  return async (cut) => {
    const hasAll =
      ops.every((op) => cut.keep.includes(op)) && faults.every((one) => cut.faults.includes(one));
    return hasAll ? "I1" : undefined;
  };
}

function counted(rerun: Rerun): { rerun: Rerun; cuts: Cut[] } {
  const cuts: Cut[] = [];
  return {
    cuts,
    rerun: (cut) => {
      cuts.push(cut);
      return rerun(cut);
    },
  };
}

describe("a failing run shrinks", () => {
  test("to the ops and kinds of faults that matter and no others", async () => {
    const small = await shrink(everything, "I1", needs([3, 17, 96], ["reboot"]));
    expect(small).toEqual({ keep: [3, 17, 96], faults: ["reboot"] });
  });

  test("so whichever they are, given enough tries", async () => {
    const ops = fc.subarray(hundred, { maxLength: 5 });
    const kinds = fc.subarray([...faultKinds]);
    await fc.assert(
      fc.asyncProperty(ops, kinds, async (keep, faults) => {
        const small = await shrink(everything, "I1", needs(keep, faults), 5000);
        expect(small).toEqual({ keep, faults });
      }),
      { numRuns: 50 },
    );
  });

  test("to an op and the one that undoes the harm of leaving another out", async () => {
    // Without op 10 nothing may come of op 20, unless op 11 is gone too.
    const rerun: Rerun = async ({ keep }) => {
      const [ten, eleven] = [keep.includes(10), keep.includes(11)];
      return keep.includes(20) && ten === eleven ? "I1" : undefined;
    };
    const { keep } = await shrink(everything, "I1", rerun);
    expect(keep).toContain(20);
    expect(keep.includes(10)).toBe(keep.includes(11));
    expect(keep.length).toBeLessThanOrEqual(3);
  });

  test("once more where an op can go only after an earlier one went", async () => {
    const rerun: Rerun = async ({ keep }) =>
      keep.includes(1) && !keep.includes(2) ? undefined : "I1";
    const small = await shrink({ keep: [1, 2], faults: [] }, "I1", rerun);
    expect(small.keep).toEqual([]);
  });

  test("only to what breaks the same invariant", async () => {
    const other: Rerun = async ({ keep }): Promise<Invariant | undefined> => {
      if (!keep.includes(5)) return undefined;
      return keep.includes(50) ? "I3" : "I7";
    };
    expect((await shrink(everything, "I3", other)).keep).toEqual([5, 50]);
  });

  test("no further than its tries go, and what is left still fails", async () => {
    const needed = needs([1, 40, 80], ["throttle"]);
    const { rerun, cuts } = counted(needed);
    const small = await shrink(everything, "I1", rerun, 40);
    expect(cuts).toHaveLength(40);
    expect(await needed(small)).toBe("I1");
    expect(small.keep.length).toBeGreaterThan(3);
    expect(small.faults).toEqual(["throttle"]);
  });

  test("not at all when nothing can go", async () => {
    const start: Cut = { keep: [1, 2, 3], faults: ["reboot"] };
    expect(await shrink(start, "I1", needs([1, 2, 3], ["reboot"]))).toEqual(start);
  });

  test("not at all when it does not fail again", async () => {
    expect(await shrink(everything, "I1", async () => undefined)).toEqual(everything);
  });

  test("to nothing when it fails whatever is done", async () => {
    const { rerun, cuts } = counted(needs([], []));
    expect(await shrink(everything, "I1", rerun)).toEqual({ keep: [], faults: [] });
    expect(cuts.length).toBeLessThan(50);
  });

  test("its kinds of faults first, then half of its ops, the later ones before the earlier", async () => {
    const start: Cut = { keep: [1, 2, 3, 4], faults: ["reboot", "timeout"] };
    const { rerun, cuts } = counted(async () => undefined);
    await shrink(start, "I1", rerun, 4);
    expect(cuts).toEqual([
      { keep: [1, 2, 3, 4], faults: ["timeout"] },
      { keep: [1, 2, 3, 4], faults: ["reboot"] },
      { keep: [1, 2], faults: ["reboot", "timeout"] },
      { keep: [3, 4], faults: ["reboot", "timeout"] },
    ]);
  });

  test("its first ops too when they are fewer than a slice", async () => {
    const { rerun, cuts } = counted(async () => undefined);
    await shrink({ keep: [1, 2, 3], faults: [] }, "I1", rerun, 2);
    expect(cuts.map(({ keep }) => keep)).toEqual([[1], [2, 3]]);
  });
});
