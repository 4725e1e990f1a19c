import { describe, expect, it } from "vitest";
import { type Deployable, lostReason } from "#domain/deployable";
import { providersOf } from "#domain/providers/providers";
import { deployable, handle, held, shared, uuid } from "../builders.ts";

const cards = (...facts: readonly Partial<Deployable>[]) =>
  facts.map((fact, index) => deployable({ id: uuid(index), ...fact }));
const claimed = { handles: { pf: held("c1") }, clean: false };
const pools = (deployables: readonly Deployable[]) => providersOf("pool", "n", deployables, []);

const error = { code: "IN_USE", message: "a guest has it" };

describe("pool providers", () => {
  it("make one of four like Intel cards, with a total of four", () => {
    expect(pools(cards({}, {}, {}, {}))).toEqual([
      {
        name: "n_CUSTOM_FPGA_INTEL_PF_region-a_N3000",
        resourceClass: "CUSTOM_FPGA_INTEL_PF",
        inventory: {
          total: 4,
          reserved: 0,
          min_unit: 1,
          max_unit: 4,
          step_size: 1,
          allocation_ratio: 1,
        },
        traits: ["CUSTOM_FPGA", "CUSTOM_HW_INTEL"],
        members: [0, 1, 2, 3].map(uuid).toSorted(),
        held: 0,
      },
    ]);
  });

  it.each<[string, Partial<Deployable>]>([
    ["dirty and not to be cleaned", { handles: { pf: handle({ state: "releasing", error }) } }],
    ["dirty after a scrub that failed", { outcome: { generation: 5, result: "failed" } }],
    ["on a silent host", { hostOnline: false }],
    ["disabled", { enabled: false }],
    ["held by an operation", { cardOperation: uuid(400) }],
    ["degraded", { health: { state: "degraded" } }],
    ["without a way to scrub it", { scrubMethod: undefined }],
  ])("reserve a card that is %s", (_why, facts) => {
    const [pool] = pools(cards({}, facts));
    expect(pool?.inventory).toMatchObject({ total: 2, reserved: 1, max_unit: 2 });
  });

  it.each<[string, Partial<Deployable>]>([
    ["dirty", { handles: { pf: handle({ state: "releasing" }) }, clean: false }],
    ["being scrubbed", { imageGeneration: 6, clean: false }],
  ])("do not reserve a card that is only %s: a bind waits behind that", (_why, facts) => {
    const [pool] = pools(cards({}, facts));
    expect(pool?.inventory).toMatchObject({ total: 2, reserved: 0 });
  });

  it("count the handles of this layout, and one of another only while a claim has it", () => {
    const lost = { attachable: false, reason: lostReason };
    const handles = { pf: handle(), vf0: handle(lost), vf1: held("c1", lost) };
    const [pool] = pools([deployable({ sharing: "any", handles })]);
    expect(pool).toMatchObject({ held: 1, inventory: { total: 2, reserved: 0 } });
  });

  it("do not reserve a claimed card, which has its allocation, whatever becomes of it", () => {
    const all = cards(claimed, { ...claimed, hostOnline: false }, { ...claimed, present: false });
    expect(pools(all)[0]).toMatchObject({ held: 3, inventory: { total: 3, reserved: 0 } });
  });

  it("leave out a card that vanished, and one without any handle", () => {
    expect(pools(cards({}, { present: false }))[0]?.inventory.total).toBe(1);
    expect(pools(cards({ present: false }))).toEqual([]);
    expect(pools([shared("any", { handles: {} })])).toEqual([]);
  });

  it("count handles of shared cards and one per card that is not shared", () => {
    const free = shared("project", { id: uuid(1) });
    const half = shared("project", { id: uuid(2), handles: { vf0: held("c1"), vf1: handle() } });
    const pending = { ...half, id: uuid(3), imageGeneration: 6 };
    expect(pools([free, half, pending])[0]).toMatchObject({
      held: 2,
      inventory: { total: 6, reserved: 0 },
    });
    expect(pools([shared("none")])[0]?.inventory).toMatchObject({ total: 1 });
  });

  it("keep other classes, products, regions and layouts apart, under names that stay", () => {
    const different = cards(
      {},
      { resourceClass: "CUSTOM_FPGA_INTEL_VF" },
      { product: "d5005" },
      { interfaceId: "region-b" },
      { interfaceId: undefined },
      { layout: "whole" },
    );
    const all = pools(different);
    expect(all.map(({ inventory }) => inventory.total)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(all.map(({ name }) => name)).toContain("n_CUSTOM_FPGA_INTEL_PF_N3000");
    const alone = different.flatMap((one) => pools([one]).map(({ name }) => name));
    expect(alone.toSorted()).toEqual(all.map(({ name }) => name));
  });
});
