import { describe, expect, it } from "vitest";
import { lostReason } from "#domain/deployable";
import {
  countOf,
  countOfHandle,
  handleCount,
  isCompatible,
  isCounted,
  possibleTraits,
} from "#domain/inventory";
import { crypto, deployable, gzip, handle, held, image, loadedWith, shared } from "./builders.ts";

const claimed = { handles: { pf: held("c1") }, clean: false };

describe("what a deployable counts", () => {
  it("is its handles when it is shared, and one when it is not", () => {
    expect(handleCount(shared("any"))).toBe(2);
    expect(countOf(shared("none"))).toEqual({ total: 1, held: 0, free: 1 });
    expect(countOf(deployable(claimed))).toEqual({ total: 1, held: 1, free: 0 });
    const half = shared("project", { handles: { vf0: held("c1"), vf1: handle() } });
    expect(countOf(half)).toEqual({ total: 2, held: 1, free: 1 });
    expect(countOf({ ...half, enabled: false })).toEqual({ total: 2, held: 1, free: 0 });
  });

  it("is told of one handle as well", () => {
    const lost = handle({ attachable: false, reason: lostReason });
    const one = shared("any", { handles: { vf0: held("c1"), vf1: handle(), vf2: lost } });
    expect(countOfHandle(one, "vf0")).toEqual({ total: 1, held: 1, free: 0 });
    expect(countOfHandle(one, "vf1")).toEqual({ total: 1, held: 0, free: 1 });
    expect(countOfHandle({ ...one, enabled: false }, "vf1")).toMatchObject({ total: 1, free: 0 });
    expect(countOfHandle(one, "vf2")).toMatchObject({ total: 0 });
    expect(countOfHandle(one, "vf3")).toMatchObject({ total: 0 });
  });

  it("is nothing once it vanished and nobody holds it", () => {
    expect(isCounted(deployable({ present: false }))).toBe(false);
    expect(isCounted(deployable({ ...claimed, present: false }))).toBe(true);
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

  it("show only the wanted image of a claimed one, and not even that when it is private", () => {
    const one = deployable({ ...claimed, wish: { image: gzip }, loaded: loadedWith(gzip) });
    const traits = possibleTraits(one, [image()]);
    expect(traits).toContain("CUSTOM_ACCELERATOR_GZIP");
    expect(traits).not.toContain("CUSTOM_ACCELERATOR_CRYPTO");
    expect(possibleTraits(one, [secret])).toEqual(one.traits);
    const both = deployable({ ...claimed, wish: { image: crypto } });
    expect(possibleTraits(both, [secret])).toContain("CUSTOM_ACCELERATOR_CRYPTO");
  });

  it("show what an operator said in a key that starts with trait, if it is a custom trait", () => {
    const said = (key: string, value: string) => ({ id: key, key, value, createdAt: 0 });
    const customTraits = [
      said("trait1", "CUSTOM_RACK_7"),
      said("traits", "CUSTOM_FAST"),
      said("trait2", "HW_CPU_X86_AVX"),
      said("trait3", "CUSTOM_not a trait"),
      said("colour", "CUSTOM_RED"),
    ];
    const traits = ["CUSTOM_FPGA", "CUSTOM_HW_INTEL", "CUSTOM_RACK_7", "CUSTOM_FAST"];
    expect(possibleTraits(deployable({ customTraits }), [])).toEqual(traits);
    expect(possibleTraits(deployable({ customTraits, ...claimed }), [])).toEqual(traits);
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
