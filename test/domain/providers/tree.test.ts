import { describe, expect, it } from "vitest";
import { providersOf } from "#domain/providers/providers";
import { deployable, held, shared, uuid } from "../builders.ts";

describe("tree providers", () => {
  it("are one per deployable, named by its address, with as many units as handles", () => {
    const one = shared("any", { id: uuid(1) });
    const two = deployable({ id: uuid(2), address: "0000:af:00.0" });
    const found = providersOf("tree", "cmp1", [two, one], []);
    expect(found.map(({ name, members }) => [name, members])).toEqual([
      ["cmp1_0000:5e:00.0", [uuid(1)]],
      ["cmp1_0000:af:00.0", [uuid(2)]],
    ]);
    expect(found.map(({ inventory }) => inventory.total)).toEqual([2, 1]);
  });

  it("tell regions of one card apart", () => {
    const regions = ["port0", "port1"].map((region, at) =>
      deployable({ id: uuid(at), region, layout: "regions" }),
    );
    const names = providersOf("tree", "cmp1", regions, []).map(({ name }) => name);
    expect(names).toEqual(["cmp1_0000:5e:00.0_port0", "cmp1_0000:5e:00.0_port1"]);
  });

  it("count a vanished card that a claim holds beside the one that took its place", () => {
    const gone = deployable({ id: uuid(1), present: false, handles: { pf: held("c1") } });
    const here = deployable({ id: uuid(2) });
    expect(providersOf("tree", "n", [gone, here], [])).toMatchObject([
      { members: [uuid(1), uuid(2)].toSorted(), held: 1, inventory: { total: 2, reserved: 0 } },
    ]);
    const other = { ...gone, resourceClass: "PGPU" };
    expect(providersOf("tree", "n", [other, here], [])).toMatchObject([
      { members: [uuid(2)], resourceClass: here.resourceClass, inventory: { total: 1 } },
    ]);
  });

  it("cut a name that is too long for Placement, and keep it apart from others", () => {
    const host = "h".repeat(250);
    const two = [deployable(), deployable({ id: uuid(2), address: "0000:af:00.0" })];
    const names = providersOf("tree", host, two, []).map(({ name }) => name);
    expect(names.map((name) => name.length)).toEqual([200, 200]);
    expect(new Set(names).size).toBe(2);
  });
});
