import type { Deployable, Handle, WantedImage } from "#domain/deployable";
import type { ActiveImage } from "#domain/image";
import type { Requirement } from "#domain/matching";
import type { Report } from "#domain/report";

/** Values for tests: a deployable that is free and clean, and what may come to it. */

export const boot = "b0000000-0000-4000-8000-000000000001";
export const otherBoot = "b0000000-0000-4000-8000-000000000002";

/** The uuid with this number, whose first digits spread over shards as real ones do. */
export function uuid(number: number): string {
  const hex = (number * 0x9e37_79b1).toString(16).padStart(8, "0").slice(-8);
  return `${hex}-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
}

export function handle(facts: Partial<Handle> = {}): Handle {
  return {
    type: "PF",
    address: "0000:5e:00.0",
    attachable: true,
    fence: 0,
    state: "free",
    plugged: false,
    ...facts,
  };
}

export function held(claim: string, facts: Partial<Handle> = {}): Handle {
  const holder = { claim, project: "p1", binding: false };
  return handle({ state: "claimed", fence: 1, holder, ...facts });
}

/** An idle, clean PF of an Intel card with one handle `pf`. */
export function deployable(facts: Partial<Deployable> = {}): Deployable {
  return {
    id: uuid(1),
    host: uuid(100),
    hostName: "node-1",
    device: uuid(200),
    cardId: "slot-1",
    region: "pr0",
    kind: "FPGA",
    vendor: "intel",
    product: "n3000",
    driver: "dfl",
    layout: "pf",
    address: "0000:5e:00.0",
    resourceClass: "CUSTOM_FPGA_INTEL_PF",
    traits: ["CUSTOM_FPGA", "CUSTOM_HW_INTEL"],
    interfaceId: "region-a",
    programmable: true,
    scrubMethod: "erase",
    sharing: "none",
    present: true,
    hostOnline: true,
    enabled: true,
    health: { state: "ok" },
    loaded: { functionId: null },
    clean: true,
    bootId: boot,
    revision: 10,
    imageGeneration: 5,
    wish: { scrub: "erase" },
    outcome: { generation: 5, result: "ready" },
    phase: "ready",
    reported: { epoch: 3, seq: 7 },
    handles: { pf: handle() },
    updatedAt: 0,
    ...facts,
  };
}

/** A deployable with two VFs that claims of `sharing` may share. */
export function shared(
  sharing: Deployable["sharing"],
  facts: Partial<Deployable> = {},
): Deployable {
  const handles = {
    vf0: handle({ type: "VF", address: "0000:5e:00.1" }),
    vf1: handle({ type: "VF", address: "0000:5e:00.2" }),
  };
  return deployable({ sharing, handles, layout: "vfs", ...facts });
}

export const crypto: WantedImage = {
  id: uuid(300),
  sha256: "aa".repeat(32),
  functionId: "f0000000-0000-4000-8000-000000000001",
  type: "crypto",
  keep: true,
};

export const gzip: WantedImage = {
  id: uuid(301),
  sha256: "bb".repeat(32),
  functionId: "f0000000-0000-4000-8000-000000000002",
  type: "gzip",
  keep: false,
};

/** What a card says that has this image loaded by us. */
export function loadedWith({ functionId, id, sha256 }: WantedImage): Deployable["loaded"] {
  return { functionId, imageId: id, sha256 };
}

export function image(facts: Partial<ActiveImage> = {}): ActiveImage {
  return {
    id: crypto.id,
    project: "p1",
    name: "crypto",
    vendor: "intel",
    type: "crypto",
    visibility: "public",
    state: "active",
    objectKey: "images/p1/crypto.gbs",
    size: 1000,
    sha256: crypto.sha256,
    md5: "cc".repeat(16),
    format: "gbs",
    interfaceId: "region-a",
    functionId: crypto.functionId,
    verifiedKey: `verified/${crypto.sha256}`,
    createdAt: 0,
    updatedAt: 0,
    revision: 1,
    ...facts,
  };
}

export function requirement(facts: Partial<Requirement> = {}): Requirement {
  return {
    project: "p1",
    resourceClasses: ["CUSTOM_FPGA_INTEL_PF"],
    required: [],
    forbidden: [],
    ...facts,
  };
}

/** The next report of an agent that has done what is wished and found all well. */
export function report(of: Deployable, facts: Partial<Report> = {}): Report {
  const { imageGeneration, loaded, handles, reported } = of;
  return {
    epoch: reported.epoch,
    seq: reported.seq + 1,
    bootId: boot,
    imageGeneration,
    phase: "ready",
    loaded,
    health: { state: "ok" },
    clean: true,
    handles: Object.fromEntries(
      Object.entries(handles).map(([name, { fence, plugged }]) => [
        name,
        { fence, state: plugged ? "plugged" : "unplugged", clean: !plugged },
      ]),
    ),
    ...facts,
  };
}
