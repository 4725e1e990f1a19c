import { describe, expect, it } from "vitest";
import type { Deployable } from "#domain/deployable";
import { providersOf } from "#domain/providers/providers";
import { hardwareTraits } from "#domain/traits";
import { providerId } from "#protocol/uuid";
import { deployable, handle, held, image, shared, uuid } from "../builders.ts";

const cyborg = (...deployables: readonly Deployable[]) =>
  providersOf("cyborg", "cmp1", deployables, []);

describe("cyborg providers", () => {
  it("have the uuids of a running site", () => {
    expect(providerId("cmp1_FakeDevice")).toBe("99efe5b3-5d2b-3cbd-bf9b-6cdfa6028320");
  });

  it("name an Intel card after its last virtual function, over all of its regions", () => {
    const port = (at: number) =>
      deployable({
        id: uuid(at),
        region: `port${at}`,
        layout: "regions",
        handles: { vf: handle({ type: "VF", address: `0000:5e:00.${at + 1}` }) },
      });
    expect(cyborg(port(1), port(0))).toMatchObject([
      { name: "cmp1_0000:5e:00.2", resourceClass: "FPGA", inventory: { total: 2, max_unit: 2 } },
    ]);
    expect(cyborg(deployable())).toMatchObject([{ name: "cmp1_0000:5e:00.0" }]);
  });

  it("name others after the card", () => {
    const xilinx = deployable({ vendor: "xilinx", product: "alveo-u200" });
    const [provider] = cyborg(xilinx);
    expect(provider).toMatchObject({ name: "cmp1_0000:5e:00.0", inventory: { total: 1 } });
    expect(provider?.traits).toContain("CUSTOM_FPGA_XILINX");
    expect(provider?.traits).toContain("CUSTOM_FPGA_PRODUCT_ID_5000");
    const unknown = cyborg(deployable({ vendor: "1bd4", product: "1bd4-a116" }));
    expect(unknown[0]?.traits).toContain("CUSTOM_FPGA_PRODUCT_ID_A116");
  });

  it("show Intel's traits beside our own, with what is loaded and no dash", () => {
    const interfaceId = "d8424dc4-a4a3-c413-f89e-433683f9040b";
    const one = deployable({
      product: "pac-a10-gx",
      interfaceId,
      loaded: { functionId: "f0000000-0000-4000-8000-000000000001" },
      traits: hardwareTraits({ kind: "FPGA", vendor: "intel", product: "pac-a10-gx" }),
    });
    const [provider] = cyborg(one);
    for (const trait of [
      "CUSTOM_HW_INTEL",
      "CUSTOM_FPGA_FUNCTION_F0000000_0000_4000_8000_000000000001",
      "CUSTOM_FPGA_INTEL",
      "CUSTOM_FPGA_INTEL_PAC_ARRIA10",
      "CUSTOM_FPGA_REGION_INTEL_D8424DC4A4A3C413F89E433683F9040B",
      "CUSTOM_FPGA_FUNCTION_ID_INTEL_F0000000000040008000000000000001",
      "CUSTOM_FPGA_FUNCTION_ID_INTEL_F0000000_0000_4000_8000_000000000001",
    ]) {
      expect(provider?.traits).toContain(trait);
    }
    expect(provider?.traits.join()).not.toContain("-");
  });

  it("hide a private function in Cyborg's spelling as well", () => {
    const secret = image({ visibility: "private" });
    const { functionId, id } = secret;
    const one = deployable({ loaded: { functionId, imageId: id } });
    const [provider] = providersOf("cyborg", "cmp1", [one], [secret]);
    expect(provider?.traits.join()).not.toContain("FUNCTION");
  });

  it("are one per virtual function of a shared network card, and name its handle", () => {
    const kind = "NIC" as const;
    const nic = shared("any", { kind, resourceClass: "CUSTOM_NIC", traits: ["CUSTOM_NIC"] });
    const handles = { ...nic.handles, vf1: held("c1", { address: "0000:5e:00.2" }) };
    expect(cyborg({ ...nic, handles })).toMatchObject([
      { name: "cmp1_0000:5e:00.1", handle: "vf0", held: 0, traits: ["CUSTOM_NIC", "CUSTOM_VF"] },
      { name: "cmp1_0000:5e:00.2", handle: "vf1", held: 1, resourceClass: "CUSTOM_NIC" },
    ]);
    const whole = cyborg({ ...nic, sharing: "none" });
    expect(whole).toMatchObject([{ name: "cmp1_0000:5e:00.1", inventory: { total: 1 } }]);
    expect(whole[0]).not.toHaveProperty("handle");
  });

  it.each([
    [
      "GPU",
      { vendor: "nvidia", product: "10de-1eb8", resourceClass: "PGPU" },
      ["CUSTOM_NVIDIA_1EB8", "OWNER_CYBORG"],
    ],
    [
      "SSD",
      { vendor: "inspur", product: "1bd4-1003", resourceClass: "CUSTOM_SSD" },
      ["CUSTOM_SSD_INSPUR", "CUSTOM_SSD_PRODUCT_ID_1003"],
    ],
    ["QAT", { vendor: "intel", product: "8086-37c8", resourceClass: "CUSTOM_QAT" }, []],
    ["NIC", { vendor: "intel", product: "8086-158b", resourceClass: "CUSTOM_NIC" }, ["CUSTOM_PF"]],
  ] as const)("keep the class of a %s and add its traits", (kind, facts, traits) => {
    const one = deployable({ kind, ...facts, traits: [] });
    expect(cyborg(one)).toMatchObject([{ resourceClass: facts.resourceClass, traits }]);
  });
});
