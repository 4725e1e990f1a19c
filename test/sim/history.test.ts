import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Act, History, isLinearizable } from "./history.ts";

const endless = Number.POSITIVE_INFINITY;
type Between = readonly [from: number, to: number];

const act = (kind: Act["kind"], claim: string, fence: number, [from, to]: Between): Act => ({
  kind,
  claim,
  fence,
  from,
  to,
});
const take = (claim: string, fence: number, between: Between) => act("take", claim, fence, between);
const see = (claim: string, fence: number, between: Between) => act("see", claim, fence, between);
const leave = (claim: string, between: Between) => act("leave", claim, 0, between);

describe("acts one after the other", () => {
  test("of a handle that passes from claim to claim are linearizable", () => {
    const acts = [
      take("a", 1, [0, 1]),
      see("a", 1, [2, 3]),
      leave("a", [4, 5]),
      take("b", 2, [6, 7]),
      see("b", 2, [8, 9]),
    ];
    expect(isLinearizable(acts)).toBe(true);
    expect(isLinearizable(acts.toReversed())).toBe(true);
  });

  test("of none are", () => {
    expect(isLinearizable([])).toBe(true);
  });

  test("of two holders at once are not", () => {
    expect(isLinearizable([take("a", 1, [0, 1]), take("b", 2, [2, 3])])).toBe(false);
  });

  test("of a claim that is seen after it was left are not", () => {
    const acts = [take("a", 1, [0, 1]), leave("a", [2, 3]), see("a", 1, [4, 5])];
    expect(isLinearizable(acts)).toBe(false);
  });

  test("of a claim that is seen before it was taken are not", () => {
    expect(isLinearizable([see("a", 1, [0, 1]), take("a", 1, [2, 3])])).toBe(false);
  });

  test("of a claim that is seen under another fence are not", () => {
    expect(isLinearizable([take("a", 1, [0, 1]), see("a", 2, [2, 3])])).toBe(false);
  });

  test.each([1, 2])("of a later holder under fence %i after 2 are not", (fence) => {
    const acts = [take("a", 2, [0, 1]), leave("a", [2, 3]), take("b", fence, [4, 5])];
    expect(isLinearizable(acts)).toBe(false);
  });

  test("of a claim that leaves what another holds are not", () => {
    expect(isLinearizable([take("a", 1, [0, 1]), leave("b", [2, 3])])).toBe(false);
  });
});

describe("acts that overlap", () => {
  test("may have come in the other order", () => {
    const acts = [
      take("b", 2, [0, 10]),
      take("a", 1, [1, 9]),
      leave("a", [2, 8]),
      see("b", 2, [11, 12]),
    ];
    expect(isLinearizable(acts)).toBe(true);
  });

  test("cannot help when the fences say who was first and both are seen to hold it last", () => {
    const acts = [take("a", 1, [0, 10]), take("b", 2, [0, 10]), leave("a", [0, endless])];
    expect(isLinearizable([...acts, see("b", 2, [11, 12])])).toBe(true);
    expect(isLinearizable([...acts, see("b", 2, [11, 12]), see("a", 1, [11, 12])])).toBe(false);
  });

  test("let a reader see either holder while one gives way to the other", () => {
    const change = [take("a", 1, [0, 1]), leave("a", [2, 10]), take("b", 2, [2, 10])];
    expect(isLinearizable([...change, see("a", 1, [3, 4]), see("b", 2, [5, 6])])).toBe(true);
    expect(isLinearizable([...change, see("b", 2, [3, 4]), see("a", 1, [5, 6])])).toBe(false);
  });

  test("in one moment only count as overlapping", () => {
    const acts = [take("b", 2, [5, 6]), take("a", 1, [0, 5]), leave("a", [5, 5])];
    expect(isLinearizable(acts)).toBe(true);
  });
});

describe("acts whose end nobody knows", () => {
  test("may have happened", () => {
    const acts = [take("a", 1, [0, 1]), leave("a", [0, endless]), take("b", 2, [2, 3])];
    expect(isLinearizable(acts)).toBe(true);
  });

  test("need not have happened", () => {
    const acts = [take("a", 1, [0, 1]), leave("a", [0, endless]), see("a", 1, [9, 10])];
    expect(isLinearizable(acts)).toBe(true);
  });

  test("did not happen before they began", () => {
    const acts = [take("a", 1, [0, 1]), leave("a", [4, endless]), take("b", 2, [2, 3])];
    expect(isLinearizable(acts)).toBe(false);
  });

  test("happened at one moment for everybody", () => {
    const acts = [
      take("a", 1, [0, 1]),
      leave("a", [0, endless]),
      take("b", 2, [2, 3]),
      see("a", 1, [4, 5]),
    ];
    expect(isLinearizable(acts)).toBe(false);
  });
});

/** Every order of a list. */
function* orders(acts: readonly Act[]): Generator<readonly Act[]> {
  if (acts.length === 0) yield [];
  for (const [index, first] of acts.entries()) {
    for (const rest of orders(acts.toSpliced(index, 1))) yield [first, ...rest];
  }
}

/** Every choice of the acts that happened: all with an end, and any of the others. */
function choices(acts: readonly Act[]): readonly (readonly Act[])[] {
  return acts.reduce<readonly (readonly Act[])[]>(
    (lists, one) => [...lists.map((list) => [...list, one]), ...(one.to === endless ? lists : [])],
    [[]],
  );
}

function isPossible(order: readonly Act[]): boolean {
  let [holder, last] = ["", -1];
  return order.every(({ kind, claim, fence, from }, index) => {
    if (order.slice(index + 1).some(({ to }) => to < from)) return false;
    if (kind === "see") return holder === claim && last === fence;
    const isFree = holder === "";
    const isOwn = holder === claim;
    holder = kind === "take" ? claim : "";
    if (kind === "leave") return isOwn;
    const isHigher = fence > last;
    last = fence;
    return isFree && isHigher;
  });
}

const anyAct = fc
  .record({
    kind: fc.constantFrom("take", "see", "leave"),
    claim: fc.constantFrom("a", "b"),
    fence: fc.integer({ min: 0, max: 3 }),
    from: fc.integer({ min: 0, max: 12 }),
    lasts: fc.integer({ min: 0, max: 6 }),
    isEndless: fc.boolean(),
  })
  .map(({ kind, claim, fence, from, lasts, isEndless }): Act => {
    // Only an end that nobody saw is open, as in the histories that clients write.
    const to = kind === "leave" && isEndless ? endless : from + lasts;
    return { kind, claim, fence, from, to };
  });

test("the check says what trying every order says", () => {
  const said = { true: 0, false: 0 };
  fc.assert(
    fc.property(fc.array(anyAct, { maxLength: 5 }), (acts) => {
      const wanted = choices(acts).some((chosen) => [...orders(chosen)].some(isPossible));
      expect(isLinearizable(acts)).toBe(wanted);
      said[`${wanted}`] += 1;
    }),
    { numRuns: 1500 },
  );
  expect(said.true).toBeGreaterThan(50);
  expect(said.false).toBeGreaterThan(50);
});

/** Claims that had a handle one after the other, each act seen within so many ms of its moment. */
const tenures = fc.array(
  fc.record({
    reads: fc.integer({ min: 0, max: 3 }),
    blurs: fc.array(fc.integer({ min: 0, max: 25 }), { minLength: 10, maxLength: 10 }),
  }),
  { minLength: 1, maxLength: 8 },
);

test("whatever one handle did is linearizable, however vaguely it was seen", () => {
  fc.assert(
    fc.property(tenures, (list) => {
      let now = 0;
      const acts = list.flatMap(({ reads, blurs }, index) => {
        const blur = [...blurs];
        const around = (): Between => {
          now += 10;
          return [now - (blur.pop() ?? 0), now + (blur.pop() ?? 0)];
        };
        const [claim, fence] = [`claim ${index}`, index * 2];
        const seen = [take(claim, fence, around())];
        for (let read = 0; read < reads; read += 1) seen.push(see(claim, fence, around()));
        return [...seen, leave(claim, around())];
      });
      expect(isLinearizable(acts)).toBe(true);
    }),
  );
});

describe("a history", () => {
  const at = (claim: string, fence: number, handle = "vf0") => ({ handle, claim, fence });

  test("of claims that follow each other breaks nothing", () => {
    const history = new History();
    history.held(at("a", 1), 0, 5);
    history.held(at("a", 1), 6, 7);
    history.over("a", 10);
    history.held(at("b", 2), 8, 12);
    expect(history.broken()).toEqual([]);
  });

  test("names the handle that two claims had at once, and no other", () => {
    const history = new History();
    history.held(at("a", 1), 0, 1);
    history.held(at("b", 2), 2, 3);
    history.held(at("a", 1), 4, 5);
    history.held(at("c", 1, "vf1"), 0, 1);
    history.held(at("c", 1, "vf1"), 4, 5);
    expect(history.broken()).toEqual(["vf0"]);
  });

  test("lets a claim end without a word until it is seen again", () => {
    const history = new History();
    history.held(at("a", 1), 0, 1);
    history.held(at("b", 2), 2, 3);
    expect(history.broken()).toEqual([]);
    history.held(at("a", 1), 4, 5);
    expect(history.broken()).toEqual(["vf0"]);
  });

  test("holds a claim to the first moment at which it was said to be over", () => {
    const history = new History();
    history.held(at("a", 1), 0, 1);
    history.over("a", 3);
    history.over("a", 20);
    history.held(at("a", 1), 4, 5);
    expect(history.broken()).toEqual(["vf0"]);
  });
});
