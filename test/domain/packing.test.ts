import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Deployable } from "#domain/deployable";
import { capacity } from "#domain/matching";
import { fits, type GroupNeed, pack } from "#domain/packing";
import {
  crypto,
  deployable,
  gzip,
  held,
  loadedWith,
  requirement,
  shared,
  uuid,
} from "./builders.ts";

const card = (number: number, facts: Partial<Deployable> = {}) =>
  deployable({ id: uuid(number), ...facts });
const gps = { traits: ["CUSTOM_GPS"] };
const group = (count: number, need = requirement()): GroupNeed => ({ need, count });

describe("packing on one host", () => {
  it("takes all or nothing", () => {
    const cards = [card(1), card(2), card(3)];
    expect(pack(cards, [group(3)])?.map((one) => one.deployable)).toEqual([
      uuid(1),
      uuid(2),
      uuid(3),
    ]);
    expect(pack(cards, [group(4)])).toBeUndefined();
    expect(pack(cards, [group(2), group(2)])).toBeUndefined();
  });

  it("takes the best rank first", () => {
    const cards = [
      card(1, { loaded: loadedWith(gzip) }),
      card(2),
      card(3, { loaded: loadedWith(crypto) }),
    ];
    const picks = pack(cards, [group(2, requirement({ image: crypto }))]);
    expect(picks?.map((one) => one.deployable)).toEqual([uuid(3), uuid(2)]);
  });

  it("takes one handle of a card that is not shared and all of one that is", () => {
    expect(pack([shared("none")], [group(2)])).toBeUndefined();
    expect(pack([shared("project")], [group(2)])?.map((one) => one.handle)).toEqual(["vf0", "vf1"]);
  });

  it("passes over what cannot be granted", () => {
    const busy = card(1, { handles: { pf: held("c1") }, clean: false });
    expect(pack([busy, card(2)], [group(1)])?.[0]?.deployable).toBe(uuid(2));
    expect(pack([busy], [group(1)])).toBeUndefined();
    expect(fits(busy, requirement())).toBe(false);
  });

  it("moves an easy group aside for a picky one that comes later", () => {
    const cards = [card(1, gps), card(2)];
    const picks = pack(cards, [group(1), group(1, requirement({ required: ["CUSTOM_GPS"] }))]);
    expect(picks).toEqual([
      { group: 0, deployable: uuid(2), handle: "pf" },
      { group: 1, deployable: uuid(1), handle: "pf" },
    ]);
  });

  it("never puts groups with different images on one card", () => {
    const groups = [
      group(1, requirement({ image: crypto })),
      group(1, requirement({ image: gzip })),
      group(1),
    ];
    expect(pack([shared("any")], groups.slice(0, 2))).toBeUndefined();
    expect(pack([shared("any")], groups.slice(1))).toBeUndefined();
    const three = [shared("any", { id: uuid(1) }), shared("any", { id: uuid(2) }), card(3)];
    const picks = pack(three, groups) ?? [];
    expect(new Set(picks.map((one) => one.deployable)).size).toBe(3);
  });

  it("of nothing is nothing", () => {
    expect(pack([], [])).toEqual([]);
    expect(pack([], [group(1)])).toBeUndefined();
  });

  it("agrees with trying every assignment", () => {
    const traits = fc.subarray(["A", "B", "C"]);
    const cards = fc.array(
      fc.record({ traits, sharing: fc.constantFrom("none" as const, "any" as const) }),
      { maxLength: 4 },
    );
    const groups = fc.array(
      fc.record({ required: traits, count: fc.integer({ min: 1, max: 2 }) }),
      { minLength: 1, maxLength: 3 },
    );
    fc.assert(
      fc.property(cards, groups, (facts, wanted) => {
        const host = facts.map((fact, index) => shared(fact.sharing, { ...fact, id: uuid(index) }));
        const needs = wanted.map(({ required, count }) => group(count, requirement({ required })));
        const picks = pack(host, needs);
        const slots = needs.flatMap(({ need, count }) => Array.from({ length: count }, () => need));
        expect(picks !== undefined).toBe(isPossible(host, slots, new Map()));
        for (const { group: index, deployable: id } of picks ?? []) {
          const one = host.find((each) => each.id === id);
          expect(one && needs[index] && fits(one, needs[index].need)).toBe(true);
        }
        const handles = (picks ?? []).map((one) => `${one.deployable} ${one.handle}`);
        expect(new Set(handles).size).toBe(handles.length);
      }),
    );
  });
});

/** Backtracking over all assignments of slots to cards. */
function isPossible(
  host: readonly Deployable[],
  [need, ...rest]: readonly GroupNeed["need"][],
  used: ReadonlyMap<string, number>,
): boolean {
  if (need === undefined) return true;
  return host.some((one) => {
    const taken = used.get(one.id) ?? 0;
    if (taken >= capacity(one) || !fits(one, need)) return false;
    return isPossible(host, rest, new Map([...used, [one.id, taken + 1]]));
  });
}
