import { describe, expect, it } from "vitest";
import type { Deployable } from "#domain/deployable";
import { explain } from "#domain/explain";
import { capacity, misfits, obstacles, type Requirement, rank, traitsWith } from "#domain/matching";
import {
  crypto,
  deployable,
  gzip,
  handle,
  held,
  loadedWith,
  requirement,
  shared,
  uuid,
} from "./builders.ts";

const image = { ...crypto, interfaceId: "region-a" };

describe("what a deployable can never serve", () => {
  it.each<[Partial<Requirement>, Partial<Deployable>, string]>([
    [{ deployable: uuid(9) }, {}, "another deployable was asked for"],
    [{ host: uuid(9) }, {}, "it is on host node-1"],
    [{ resourceClasses: ["PGPU"] }, {}, "its resource class is CUSTOM_FPGA_INTEL_PF"],
    [{ image }, { programmable: false }, "it cannot be programmed"],
    [{ image }, { interfaceId: "region-b" }, "the image is for region region-a"],
    [{ required: ["CUSTOM_GPS"] }, {}, "it lacks CUSTOM_GPS"],
    [{ forbidden: ["CUSTOM_HW_INTEL"] }, {}, "it has CUSTOM_HW_INTEL"],
  ])("%j is refused by %j: %s", (need, facts, reason) => {
    expect(misfits(deployable(facts), requirement(need))).toEqual([reason]);
  });

  it("is nothing when all fits, whatever class is offered when none is asked for", () => {
    expect(misfits(deployable(), requirement({ image, host: uuid(100) }))).toEqual([]);
    expect(misfits(deployable(), requirement({ resourceClasses: [] }))).toEqual([]);
    expect(
      misfits(deployable(), requirement({ image: { ...image, interfaceId: undefined } })),
    ).toEqual([]);
  });

  it("counts what an operator says of it, when it is called a trait", () => {
    const said = (key: string) => [{ id: uuid(1), key, value: "CUSTOM_GOLD", createdAt: 1 }];
    const need = requirement({ required: ["CUSTOM_GOLD"] });
    expect(misfits(deployable({ customTraits: said("traits1") }), need)).toEqual([]);
    expect(misfits(deployable({ customTraits: said("rank") }), need)).toHaveLength(1);
  });

  it("counts the traits of the wanted image, else those of the loaded one", () => {
    const one = deployable({ loaded: loadedWith(gzip), loadedType: "gzip" });
    expect(traitsWith(one, undefined)).toContain("CUSTOM_ACCELERATOR_GZIP");
    expect(traitsWith(one, image)).not.toContain("CUSTOM_ACCELERATOR_GZIP");
    expect(misfits(one, requirement({ image, required: ["CUSTOM_ACCELERATOR_CRYPTO"] }))).toEqual(
      [],
    );
  });
});

describe("who may share a deployable", () => {
  const handles = { vf0: held("c1"), vf1: handle() };
  const mine = shared("project", { handles, lastProject: "p1", loaded: loadedWith(crypto) });

  it("is only the same project when it shares within a project", () => {
    expect(obstacles(mine, requirement())).toEqual([]);
    expect(obstacles(mine, requirement({ project: "p2" }))).toEqual([
      "another project holds a part of it",
    ]);
    expect(obstacles({ ...mine, sharing: "any" }, requirement({ project: "p2" }))).toEqual([]);
  });

  it("is nobody who would program it under a neighbour", () => {
    expect(obstacles(mine, requirement({ image }))).toEqual([]);
    expect(obstacles(mine, requirement({ image: gzip }))).toEqual([
      "programming it would disturb its other claims",
    ]);
  });

  it("is no other project until the last one's handle is proven to be back", () => {
    const leaving = { vf0: handle({ state: "releasing" as const }), vf1: handle() };
    const one = shared("none", { handles: leaving, lastProject: "p1", scrubMethod: "reset" });
    const unprogrammable = { ...one, programmable: false };
    expect(obstacles(unprogrammable, requirement())).toEqual([]);
    const reason = "another project's use of it is not proven to be over";
    expect(obstacles(unprogrammable, requirement({ project: "p2" }))).toEqual([reason]);
    expect(
      obstacles({ ...unprogrammable, sharing: "any" }, requirement({ project: "p2" })),
    ).toEqual([]);
  });

  it("is only the same project on a programmable card that can be reset but not erased", () => {
    const one = deployable({ scrubMethod: "reset", lastProject: "p1" });
    expect(obstacles(one, requirement())).toEqual([]);
    expect(obstacles(one, requirement({ project: "p2" }))).toHaveLength(1);
    expect(obstacles({ ...one, lastProject: undefined }, requirement({ project: "p2" }))).toEqual(
      [],
    );
  });
});

describe("the order of candidates", () => {
  it("prefers the loaded image, then a blank card, then one to be erased", () => {
    const need = requirement({ image });
    expect(rank(deployable({ loaded: loadedWith(crypto) }), need)).toBe(0);
    expect(rank(deployable(), need)).toBe(1);
    expect(rank(deployable({ loaded: loadedWith(gzip) }), need)).toBe(2);
  });

  it("spares loaded cards when no image is wanted", () => {
    expect(rank(deployable(), requirement())).toBe(0);
    expect(rank(deployable({ loaded: loadedWith(gzip) }), requirement())).toBe(1);
  });

  it("gives one handle of a card that is not shared, else all that are free", () => {
    expect(capacity(shared("none"))).toBe(1);
    expect(capacity(shared("project"))).toBe(2);
    expect(capacity(shared("any", { handles: { vf0: held("c1"), vf1: handle() } }))).toBe(1);
    expect(capacity(deployable({ handles: { pf: held("c1") } }))).toBe(0);
  });
});

describe("an explanation", () => {
  const fleet = [
    deployable({ id: uuid(1), resourceClass: "PGPU" }),
    deployable({ id: uuid(2), handles: { pf: held("c1") }, clean: false }),
    deployable({ id: uuid(3), loaded: loadedWith(gzip) }),
    deployable({ id: uuid(4), loaded: loadedWith(crypto) }),
    deployable({ id: uuid(5) }),
    deployable({ id: uuid(6), health: { state: "degraded" }, enabled: false }),
  ];

  it("names the best candidates first, then the busy, then the unsuitable, each with its reasons", () => {
    const told = explain(fleet, requirement({ image }));
    expect(told).toMatchObject({ fits: 3, busy: 2, unsuitable: 1 });
    expect(told.summary).toBe(
      "6 looked at: 3 can serve now, 2 would fit but are not free, 1 cannot serve this",
    );
    expect(
      told.deployables.slice(0, 3).map((one) => [one.deployable, one.rank, one.reasons]),
    ).toEqual([
      [uuid(4), 0, ["the wanted image is loaded"]],
      [uuid(5), 1, ["it is blank"]],
      [uuid(3), 2, ["it is free"]],
    ]);
    const rest = new Map(told.deployables.slice(3).map((one) => [one.deployable, one]));
    expect(rest.get(uuid(2))).toMatchObject({ verdict: "busy", state: "ready", free: 0 });
    expect(rest.get(uuid(6))?.reasons).toEqual([
      "it is faulty: degraded",
      "an operator disabled it",
    ]);
    expect(told.deployables.at(-1)).toMatchObject({
      deployable: uuid(1),
      verdict: "unsuitable",
      reasons: ["its resource class is PGPU"],
    });
  });

  it("does not speak of an image that nobody asked for", () => {
    const told = explain(fleet.slice(2, 5), requirement());
    expect(told.deployables[0]).toMatchObject({ deployable: uuid(5), reasons: ["it is blank"] });
    expect(told.deployables[1]?.reasons).toEqual(["it is free"]);
  });

  it("of nothing is empty", () => {
    expect(explain([], requirement())).toMatchObject({
      fits: 0,
      busy: 0,
      unsuitable: 0,
      deployables: [],
    });
  });
});
