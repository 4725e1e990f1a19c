import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isFault } from "#domain/faults";
import { isActive, isVisible } from "#domain/image";
import { readGroup } from "#domain/profile";
import { used, withLimit } from "#domain/quota";
import { sameContent } from "#domain/same";
import {
  customName,
  hardwareTraits,
  imageTraits,
  isTraitName,
  resourceClassOf,
} from "#domain/traits";
import { image } from "./builders.ts";

/** What Placement 2024.2 accepts as a custom name (os-traits, reference/cyborg.md §9). */
const placementName = /^CUSTOM_[A-Z0-9_]+$/;

describe("names for Placement", () => {
  it("are accepted by its rule, whatever they are made of", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "binary", maxLength: 200 }), { maxLength: 4 }),
        (parts) => {
          const name = customName("FPGA", ...parts);
          expect(name).toMatch(placementName);
          expect(name.length).toBeLessThanOrEqual(255);
          expect(isTraitName(name)).toBe(true);
        },
      ),
    );
  });

  it("are read as people would write them", () => {
    expect(customName("FPGA", "Intel", "PAC N3000")).toBe("CUSTOM_FPGA_INTEL_PAC_N3000");
    expect(customName("--a--", "b!")).toBe("CUSTOM_A_B");
  });

  it.each([
    ["FPGA", "Xilinx", "PF", "CUSTOM_FPGA_XILINX_PF"],
    ["GPU", "nvidia", "PF", "PGPU"],
    ["GPU", "nvidia", "MDEV", "VGPU"],
    ["NIC", "intel", "VF", "CUSTOM_NIC"],
    ["QAT", "intel", "VF", "CUSTOM_QAT"],
    ["SSD", "samsung", "PF", "CUSTOM_SSD"],
  ] as const)("call the class of a %s by %s with a %s %s", (kind, vendor, handleType, expected) => {
    expect(resourceClassOf({ kind, vendor, handleType })).toBe(expected);
  });

  it("tell the hardware and what an image adds", () => {
    const hardware = { kind: "FPGA", vendor: "intel", product: "n3000" };
    const common = ["CUSTOM_FPGA", "CUSTOM_HW_INTEL", "CUSTOM_FPGA_INTEL_N3000"];
    expect(hardwareTraits(hardware)).toEqual(common);
    expect(hardwareTraits({ ...hardware, interfaceId: "a-b" })).toEqual([
      ...common,
      "CUSTOM_FPGA_REGION_A_B",
    ]);
    expect(imageTraits({ functionId: "f-1", type: "crypto" })).toEqual([
      "CUSTOM_FPGA_FUNCTION_F_1",
      "CUSTOM_ACCELERATOR_CRYPTO",
      "CUSTOM_HW_CRYPTO",
    ]);
    expect(imageTraits({ functionId: null })).toEqual([]);
  });

  it.each(["", "a", "_A", "1A", "CUSTOM-A", "CUSTOM_a", `A${"B".repeat(255)}`])(
    "are not like %j",
    (name) => {
      expect(isTraitName(name)).toBe(false);
    },
  );
});

describe("a profile's group", () => {
  it("says what it asks for", () => {
    expect(
      readGroup(
        {
          "resources:CUSTOM_FPGA_INTEL_PF": "2",
          "resources:FPGA": "1",
          "trait:CUSTOM_A": "required",
          "trait:CUSTOM_B": "forbidden",
          "accel:bitstream_id": "i-1",
        },
        0,
      ),
    ).toEqual({
      resources: [
        { resourceClass: "CUSTOM_FPGA_INTEL_PF", count: 2 },
        { resourceClass: "FPGA", count: 1 },
      ],
      required: ["CUSTOM_A"],
      forbidden: ["CUSTOM_B"],
      image: "i-1",
    });
    expect(readGroup({ "resources:FPGA": "1", "accel:function_id": "f" }, 0)).toMatchObject({
      functionId: "f",
    });
  });

  it.each([
    [{}, "groups.3"],
    [{ "trait:A": "required" }, "groups.3"],
    [{ "resources:fpga": "1" }, "groups.3.resources:fpga"],
    [{ "resources:": "1" }, "groups.3.resources:"],
    ...["0", "-1", "1.5", "", " 1", "1e2", "0x1", "many", "10000"].map(
      (count) => [{ "resources:FPGA": count }, "groups.3.resources:FPGA"] as const,
    ),
    [{ "resources:FPGA": "1", colour: "red" }, "groups.3.colour"],
    [{ "resources:FPGA": "1", "trait:a b": "required" }, "groups.3.trait:a b"],
    [{ "resources:FPGA": "1", "trait:A": "maybe" }, "groups.3.trait:A"],
    [{ "resources:FPGA": "1", "accel:bitstream_id": "i", "accel:function_id": "f" }, "groups.3"],
  ] as const)("%j is refused by name: %s", (group, field) => {
    let refusal: unknown;
    try {
      readGroup(group, 3);
    } catch (error) {
      refusal = error;
    }
    if (!isFault(refusal, "INVALID_REQUEST")) throw new Error(`not refused: ${String(refusal)}`);
    expect(refusal.detail.field).toBe(field);
    expect(refusal.message).toContain(field);
  });
});

describe("a quota", () => {
  const quota = { project: "p1", resourceClass: "FPGA", limit: 8, left: 3 };

  it("keeps what is held when its limit changes, also below it", () => {
    expect(used(quota)).toBe(5);
    expect(withLimit(quota, 10)).toMatchObject({ limit: 10, left: 5 });
    expect(withLimit(quota, 2)).toMatchObject({ limit: 2, left: -3 });
    expect(used(withLimit(quota, 2))).toBe(5);
  });
});

describe("the same content", () => {
  it("takes no heed of order and of members that are not there", () => {
    expect(sameContent({ a: 1, b: { c: [1, 2] } }, { b: { c: [1, 2] }, a: 1, d: undefined })).toBe(
      true,
    );
  });

  it.each([
    [{ a: 1 }, { a: 2 }],
    [{ a: 1 }, { a: "1" }],
    [
      [1, 2],
      [2, 1],
    ],
    [[1], [1, 2]],
    [[], {}],
    [null, {}],
    [null, undefined],
    [{ a: null }, {}],
  ])("%j differs from %j", (one, other) => {
    expect(sameContent(one, other)).toBe(false);
    expect(sameContent(other, one)).toBe(false);
  });

  it("is what a copy has", () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => sameContent(value, structuredClone(value))));
  });
});

describe("an image", () => {
  it("can be programmed when it is active and every fact is known", () => {
    expect(isActive(image())).toBe(true);
    expect(isActive({ ...image(), state: "verifying" })).toBe(false);
    for (const fact of ["sha256", "md5", "size", "format", "functionId", "verifiedKey"] as const) {
      expect(isActive({ ...image(), [fact]: undefined })).toBe(false);
    }
  });

  it("is seen by its project and admins, and by all when it is not private", () => {
    const secret = image({ visibility: "private" });
    expect(isVisible(secret, "p1", false)).toBe(true);
    expect(isVisible(secret, "p2", false)).toBe(false);
    expect(isVisible(secret, "p2", true)).toBe(true);
    expect(isVisible(image({ visibility: "shared" }), "p2", false)).toBe(true);
  });
});
