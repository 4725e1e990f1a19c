import { describe, expect, it } from "vitest";
import { type Deployable, isOfferable, notOfferable, stateOf } from "#domain/deployable";
import { crypto, deployable, handle, held, shared } from "./builders.ts";

const failed: Deployable["outcome"] = {
  generation: 5,
  result: "failed",
  error: { code: "READ_BACK_MISMATCH", message: "another image" },
};

/** Worst first: each row adds one fact to all rows below it and must win over them. */
const layers: readonly (readonly [Partial<Deployable>, string])[] = [
  [{ present: false }, "faulty gone"],
  [{ hostOnline: false }, "offline"],
  [{ health: { state: "degraded" } }, "faulty degraded"],
  [{ imageGeneration: 6 }, "scrubbing"],
  [{ outcome: failed }, "faulty READ_BACK_MISMATCH"],
  [{ enabled: false }, "disabled"],
  [{ clean: false }, "scrubbing"],
  [{}, "idle"],
];

function words(one: Deployable): string {
  const { state, reason } = stateOf(one);
  return reason === undefined ? state : `${state} ${reason}`;
}

describe("the state of a deployable", () => {
  it.each(layers.map(([, state], index) => [state, index] as const))(
    "is %s when nothing worse is true",
    (state, index) => {
      const facts = layers
        .slice(index)
        .toReversed()
        .map(([fact]) => fact);
      expect(words(deployable(Object.assign({}, ...facts)))).toBe(state);
    },
  );

  it.each([
    ["stuck", "faulty stuck"],
    ["gone", "faulty gone"],
    ["ok", "idle"],
    ["unmonitored", "idle"],
  ] as const)("with health %s is %s", (state, expected) => {
    expect(words(deployable({ health: { state } }))).toBe(expected);
  });

  it("is programming while a wish without scrub is owed", () => {
    expect(words(deployable({ imageGeneration: 6, wish: { image: crypto } }))).toBe("programming");
  });

  it("is ready while a claim holds it", () => {
    expect(words(deployable({ handles: { pf: held("c1") }, clean: false }))).toBe("ready");
  });

  it("is scrubbing while its only handle is dirty", () => {
    const handles = { pf: handle({ state: "releasing" }) };
    expect(words(deployable({ scrubMethod: "reset", handles }))).toBe("scrubbing");
  });

  it("names PROGRAM_FAILED when a failure gave no reason", () => {
    const outcome = { generation: 5, result: "failed" } as const;
    expect(words(deployable({ outcome }))).toBe("faulty PROGRAM_FAILED");
  });
});

describe("what is offered", () => {
  it("is a clean, healthy, enabled card with a free handle on an online host", () => {
    expect(notOfferable(deployable())).toEqual([]);
  });

  it.each<[string, Partial<Deployable>, string]>([
    ["its host is silent", { hostOnline: false }, "its host is silent"],
    ["it is gone", { present: false }, "it is faulty: gone"],
    ["it is degraded", { health: { state: "degraded" } }, "it is faulty: degraded"],
    ["its scrub failed", { outcome: failed }, "it is faulty: READ_BACK_MISMATCH"],
    ["it is disabled", { enabled: false }, "an operator disabled it"],
    ["nobody knows how to scrub it", { scrubMethod: undefined }, "no scrub method is known for it"],
    ["it is being scrubbed", { imageGeneration: 6 }, "it is scrubbing"],
    ["it is not proven clean", { clean: false }, "it is not proven clean"],
    [
      "its handle is dirty",
      { handles: { pf: handle({ state: "releasing" }) } },
      "no handle is free",
    ],
    [
      "its handle cannot be attached",
      { handles: { pf: handle({ attachable: false }) } },
      "no handle is free",
    ],
  ])("is not a card when %s", (_why, facts, reason) => {
    const one = deployable(facts);
    expect(notOfferable(one)).toContain(reason);
    expect(isOfferable(one)).toBe(false);
  });

  it("is a shared card with a claim and a free handle, but not one that is not shared", () => {
    const handles = { vf0: held("c1"), vf1: handle() };
    expect(isOfferable(shared("project", { handles, clean: false }))).toBe(true);
    expect(notOfferable(shared("none", { handles, clean: false }))).toEqual([
      "it is claimed and not shared",
    ]);
  });

  it("is a card whose neighbour handle is dirty", () => {
    const handles = { vf0: handle({ state: "releasing" }), vf1: handle() };
    expect(isOfferable(shared("project", { handles }))).toBe(true);
  });

  it("is a reset card whose handles are clean, whatever the card as a whole says", () => {
    expect(isOfferable(deployable({ scrubMethod: "reset", clean: false }))).toBe(true);
  });
});
