import { describe, expect, it } from "vitest";
import { type Deployable, lostReason } from "#domain/deployable";
import { isCompatible, poolProviders, possibleTraits } from "#domain/inventory";
import { deployable, gzip, handle, held, image, loadedWith, shared, uuid } from "./builders.ts";

const cards = (...facts: readonly Partial<Deployable>[]) =>
  facts.map((fact, index) => deployable({ id: uuid(index), ...fact }));
const claimed = { handles: { pf: held("c1") }, clean: false };

describe("pool providers", () => {
  it("make one of four like Intel cards, with a total of four", () => {
    expect(poolProviders("node-1", cards({}, {}, {}, {}), [])).toEqual([
      {
        name: "node-1_CUSTOM_FPGA_INTEL_PF_region-a",
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
      },
    ]);
  });

  it.each<[string, Partial<Deployable>]>([
    ["dirty", { handles: { pf: handle({ state: "releasing" }) } }],
    ["being scrubbed", { imageGeneration: 6 }],
    ["on a silent host", { hostOnline: false }],
    ["disabled", { enabled: false }],
    ["held by an operation", { cardOperation: uuid(400) }],
    ["degraded", { health: { state: "degraded" } }],
    ["without a way to scrub it", { scrubMethod: undefined }],
  ])("reserve a card that is %s", (_why, facts) => {
    const [pool] = poolProviders("n", cards({}, facts), []);
    expect(pool?.inventory).toMatchObject({ total: 2, reserved: 1, max_unit: 2 });
  });

  it("count the handles of this layout, and one of another only while a claim has it", () => {
    const lost = { attachable: false, reason: lostReason };
    const handles = { pf: handle(), vf0: handle(lost), vf1: held("c1", lost) };
    const [pool] = poolProviders("n", [deployable({ sharing: "any", handles })], []);
    expect(pool?.inventory).toMatchObject({ total: 2, reserved: 0 });
  });

  it("do not reserve a claimed card, which has its allocation, whatever becomes of it", () => {
    const all = cards(claimed, { ...claimed, hostOnline: false }, { ...claimed, present: false });
    expect(poolProviders("n", all, [])[0]?.inventory).toMatchObject({ total: 3, reserved: 0 });
  });

  it("leave out a card that vanished", () => {
    expect(poolProviders("n", cards({}, { present: false }), [])[0]?.inventory.total).toBe(1);
    expect(poolProviders("n", cards({ present: false }), [])).toEqual([]);
  });

  it("count handles of shared cards and one per card that is not shared", () => {
    const free = shared("project", { id: uuid(1) });
    const half = shared("project", { id: uuid(2), handles: { vf0: held("c1"), vf1: handle() } });
    const pending = { ...half, id: uuid(3), imageGeneration: 6 };
    expect(poolProviders("n", [free, half, pending], [])[0]?.inventory).toMatchObject({
      total: 6,
      reserved: 1,
    });
    expect(poolProviders("n", [shared("none")], [])[0]?.inventory).toMatchObject({ total: 1 });
  });

  it("keep other classes, products, regions and layouts apart, each under a name of its own", () => {
    const different: Partial<Deployable>[] = [
      {},
      { resourceClass: "CUSTOM_FPGA_INTEL_VF" },
      { product: "d5005" },
      { interfaceId: "region-b" },
      { interfaceId: undefined },
      { layout: "whole" },
    ];
    const pools = poolProviders("n", cards(...different), []);
    expect(pools.map((one) => one.inventory.total)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(new Set(pools.map((one) => one.name)).size).toBe(6);
    expect(pools.map((one) => one.name)).toContain("n_CUSTOM_FPGA_INTEL_PF_N3000");
    const reversed = poolProviders("n", cards(...different).toReversed(), []);
    expect(reversed).toEqual(pools);
  });
});

describe("the traits of a member", () => {
  const secret = image({ id: gzip.id, type: "gzip", visibility: "private" });

  it("show what a compatible public or shared image could make of a free one", () => {
    const traits = possibleTraits(deployable(), [image(), secret]);
    expect(traits).toContain("CUSTOM_ACCELERATOR_CRYPTO");
    expect(traits).toContain("CUSTOM_HW_CRYPTO");
    expect(traits.join()).not.toContain("GZIP");
    expect(possibleTraits(deployable({ programmable: false }), [image()])).toEqual(
      deployable().traits,
    );
    expect(possibleTraits(deployable(), [{ ...image(), state: "retired" }])).toEqual(
      deployable().traits,
    );
  });

  it("show what a free one has loaded, unless the image is private", () => {
    const one = deployable({ loaded: loadedWith(gzip), loadedType: "gzip" });
    const function2 = "CUSTOM_FPGA_FUNCTION_F0000000_0000_4000_8000_000000000002";
    expect(possibleTraits(one, [])).toContain(function2);
    expect(possibleTraits(one, [{ ...secret, visibility: "public" }])).toContain(function2);
    expect(possibleTraits(one, [secret]).join()).not.toMatch(/FUNCTION|GZIP/);
  });

  it("show only the wanted image of a claimed one", () => {
    const one = deployable({ ...claimed, wish: { image: gzip }, loaded: loadedWith(gzip) });
    const traits = possibleTraits(one, [image()]);
    expect(traits).toContain("CUSTOM_ACCELERATOR_GZIP");
    expect(traits).not.toContain("CUSTOM_ACCELERATOR_CRYPTO");
  });
});

describe("an image", () => {
  it("fits its region, or its maker's cards when it names none", () => {
    expect(isCompatible(deployable(), image())).toBe(true);
    expect(isCompatible(deployable({ interfaceId: "region-b" }), image())).toBe(false);
    expect(isCompatible(deployable({ programmable: false }), image())).toBe(false);
    const anywhere = image({ interfaceId: undefined, vendor: "Intel" });
    expect(isCompatible(deployable(), anywhere)).toBe(true);
    expect(isCompatible(deployable({ vendor: "xilinx" }), anywhere)).toBe(false);
  });
});
