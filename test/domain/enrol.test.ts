import { describe, expect, it } from "vitest";
import { isOfferable } from "#domain/deployable";
import { enrol, type FoundDeployable, type FoundDevice } from "#domain/enrol";
import { crypto, handle, held, loadedWith, uuid } from "./builders.ts";

const device: FoundDevice = {
  cardId: "slot-1",
  kind: "FPGA",
  vendor: "intel",
  product: "n3000",
  address: "0000:5e:00.0",
  driver: "dfl",
  layout: "pf",
};
const finder = { host: uuid(100), hostName: "node-1", device: uuid(200), online: true };
const found: FoundDeployable = {
  id: uuid(1),
  region: "pr0",
  interfaceId: "region-a",
  programmable: true,
  scrubMethod: "erase",
  sharing: "none",
  loaded: { functionId: crypto.functionId },
  health: { state: "ok" },
  handles: [{ name: "pf", type: "PF", address: "0000:5e:00.0", iommuGroup: 7, attachable: true }],
};
const facts = { finder, device };
const fresh = enrol(undefined, found, facts, 5);

describe("a deployable that was found", () => {
  it("starts dirty and is scrubbed before it is ever offered", () => {
    expect(fresh).toMatchObject({
      id: uuid(1),
      host: uuid(100),
      resourceClass: "CUSTOM_FPGA_INTEL_PF",
      traits: [
        "CUSTOM_FPGA",
        "CUSTOM_HW_INTEL",
        "CUSTOM_FPGA_INTEL_N3000",
        "CUSTOM_FPGA_REGION_REGION_A",
      ],
      clean: false,
      imageGeneration: 1,
      wish: { scrub: "erase" },
      revision: 1,
      updatedAt: 5,
    });
    expect(fresh.handles["pf"]).toMatchObject({ fence: 0, state: "releasing", iommuGroup: 7 });
    expect(isOfferable(fresh)).toBe(false);
  });

  it("is not scrubbed where a reset is all that can be done", () => {
    const reset = enrol(undefined, { ...found, scrubMethod: "reset" }, facts, 5);
    expect(reset).toMatchObject({ imageGeneration: 0, revision: 1 });
    expect(isOfferable(reset)).toBe(false);
  });

  it("has the class of its handles, PF when it has none", () => {
    const vf = { name: "vf0", type: "VF" as const, address: "0000:5e:00.1", attachable: true };
    expect(enrol(undefined, { ...found, handles: [vf] }, facts, 5).resourceClass).toBe(
      "CUSTOM_FPGA_INTEL_VF",
    );
    expect(enrol(undefined, { ...found, handles: [] }, facts, 5).resourceClass).toBe(
      "CUSTOM_FPGA_INTEL_PF",
    );
  });
});

describe("a deployable that is found again", () => {
  const known = {
    ...fresh,
    imageGeneration: 4,
    outcome: { generation: 4, result: "ready" as const },
    clean: true,
    revision: 20,
    loaded: loadedWith(crypto),
    handles: { pf: { ...held("c1", { fence: 9 }), iommuGroup: 7 } },
    wish: { image: crypto },
  };

  it("is the same object when nothing changed", () => {
    expect(enrol(known, found, facts, 99)).toBe(known);
  });

  it("takes over facts and keeps counters, claims and wishes", () => {
    const moved = { ...device, address: "0000:af:00.0" };
    const after = enrol(known, { ...found, sharing: "any" }, { finder, device: moved }, 99);
    expect(after).toMatchObject({
      address: "0000:af:00.0",
      sharing: "any",
      imageGeneration: 4,
      wish: { image: crypto },
      revision: 21,
      updatedAt: 99,
    });
    expect(after.handles["pf"]).toMatchObject({ fence: 9, holder: { claim: "c1" } });
  });

  it("keeps fence and claim of a handle that is not there, and gives them back with it", () => {
    const lost = enrol(known, { ...found, handles: [] }, facts, 99);
    expect(lost.handles["pf"]).toMatchObject({
      fence: 9,
      attachable: false,
      reason: "not found on the host",
      holder: { claim: "c1" },
    });
    const back = enrol(lost, found, facts, 99);
    expect(back.handles["pf"]).toMatchObject({
      fence: 9,
      attachable: true,
      holder: { claim: "c1" },
    });
    expect(back.handles["pf"]?.reason).toBeUndefined();
  });

  it("lets a free handle that was away prove itself again", () => {
    const free = { ...known, handles: { pf: handle({ fence: 3 }) } };
    const lost = enrol(free, { ...found, handles: [] }, facts, 99);
    expect(lost.handles["pf"]?.state).toBe("free");
    expect(enrol(lost, found, facts, 99).handles["pf"]).toMatchObject({
      state: "releasing",
      fence: 3,
      attachable: true,
    });
  });

  it("forgets an IOMMU group that is gone", () => {
    const [handle] = found.handles;
    const { iommuGroup: _, ...without } = handle ?? {
      name: "",
      type: "PF",
      address: "",
      attachable: true,
    };
    const after = enrol(known, { ...found, handles: [without] }, facts, 99);
    expect(after.handles["pf"]?.iommuGroup).toBeUndefined();
  });

  it("adds a new handle dirty", () => {
    const vf = { name: "vf0", type: "VF" as const, address: "0000:5e:00.1", attachable: true };
    const after = enrol(known, { ...found, handles: [...found.handles, vf] }, facts, 99);
    expect(after.handles["vf0"]).toMatchObject({ fence: 0, state: "releasing" });
  });

  it.each([
    ["another shell", { interfaceId: "region-b" }, {}],
    ["a card that was away", {}, { present: false, clean: false }],
  ])("scrubs again after %s", (_why, change, before) => {
    const free = { ...known, handles: {}, ...before };
    const after = enrol(free, { ...found, ...change }, facts, 99);
    expect(after).toMatchObject({ clean: false, imageGeneration: 5, wish: { scrub: "erase" } });
  });

  it("voids its proof while it is gone", () => {
    const gone = enrol(known, { ...found, health: { state: "gone" } }, facts, 99);
    expect(gone).toMatchObject({ present: false, clean: false, imageGeneration: 4 });
  });
});
