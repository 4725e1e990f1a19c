import { describe, expect, it } from "vitest";
import { isOfferable } from "#domain/deployable";
import { type Report } from "#domain/report";
import { grant, release } from "#domain/transitions";
import {
  crypto,
  deployable,
  gzip,
  handle,
  held,
  loadedWith,
  otherBoot,
  shared,
} from "./builders.ts";
import { apply, error } from "./reported.ts";

const nothing = { bound: [], failed: [] };

/** A claim that waits for `crypto` on a card that had nothing loaded. */
const binding = grant(deployable(), [{ claim: "c1", project: "p1", handle: "pf" }], crypto, 0);
const done: Partial<Report> = { loaded: loadedWith(crypto), clean: false };

/** A claim's card whose scrub is wished after release. */
const releasing = release(
  deployable({ handles: { pf: held("c1") }, clean: false, wish: { image: gzip } }),
  "pf",
  0,
);

describe("a report that is old news", () => {
  it.each([
    ["the same seq", { seq: 7 }],
    ["an older seq", { seq: 6 }],
    ["a lower epoch", { epoch: 2, seq: 500 }],
  ])("by %s changes nothing, whatever it says", (_why, order) => {
    const one = binding;
    const applied = apply(one, { ...order, ...done, phase: "failed", health: { state: "gone" } });
    expect(applied).toEqual({ deployable: one, ...nothing });
    expect(applied.deployable).toBe(one);
  });

  it("stays old news when the newer one had changed no fact", () => {
    const one = deployable({ phase: "ready" });
    const heard = apply(one, { seq: 9 }).deployable;
    expect(heard).toEqual({ ...one, reported: { epoch: 3, seq: 9 } });
    expect(apply(heard, { seq: 8, health: { state: "degraded" } }).deployable).toBe(heard);
  });

  it("is heard from a newer session with a lower seq", () => {
    const after = apply(deployable(), { epoch: 4, seq: 1, health: { state: "degraded" } });
    expect(after.deployable).toMatchObject({ health: { state: "degraded" }, revision: 11 });
  });
});

describe("a report of another image generation", () => {
  const late: Partial<Report> = {
    imageGeneration: 5,
    phase: "ready",
    clean: true,
    loaded: loadedWith(crypto),
    health: { state: "degraded", reason: "hot" },
  };

  it("tells what is loaded and how the card feels, but binds and proves nothing", () => {
    const handles = { pf: { fence: 1, state: "plugged" as const, clean: true } };
    const { deployable: after, bound, failed } = apply(binding, { ...late, handles });
    expect({ bound, failed }).toEqual(nothing);
    expect(after).toMatchObject({ loaded: late.loaded, health: late.health, clean: false });
    expect(after).toMatchObject({ outcome: binding.outcome, phase: binding.phase });
    expect(after.handles).toEqual(binding.handles);
  });

  it("fails no claim and frees no handle", () => {
    expect(apply(binding, { ...late, phase: "failed", error }).failed).toEqual([]);
    const freed = apply(releasing, { ...late, imageGeneration: releasing.imageGeneration - 1 });
    expect(freed.deployable.handles).toEqual(releasing.handles);
    expect(isOfferable(freed.deployable)).toBe(false);
  });

  it.each([
    ["the host rebooted", { bootId: otherBoot }],
    ["another function is loaded", { loaded: { functionId: gzip.functionId } }],
  ])("voids a proof when %s, so the card is scrubbed again", (_why, facts) => {
    const { deployable: after } = apply(deployable(), { imageGeneration: 4, ...facts });
    expect(after).toMatchObject({ clean: false, imageGeneration: 6, wish: { scrub: "erase" } });
    expect(after.revision).toBe(11);
  });

  it("of a higher one lifts our counters above it and proves nothing", () => {
    const told = { pf: { fence: 8, state: "unplugged" as const, clean: true } };
    const { deployable: after } = apply(deployable(), { imageGeneration: 20, handles: told });
    expect(after).toMatchObject({ imageGeneration: 21, clean: false });
    expect(after.handles["pf"]?.fence).toBe(9);
  });
});

describe("a report about a claim that is being bound", () => {
  it("binds it when the wished image is loaded under its fence", () => {
    const { deployable: after, bound, failed } = apply(binding, done);
    expect(bound).toEqual([{ claim: "c1", handle: "pf", fence: 1 }]);
    expect(failed).toEqual([]);
    expect(after.handles["pf"]?.holder?.binding).toBe(false);
    expect(after).toMatchObject({
      loaded: loadedWith(crypto),
      loadedType: "crypto",
      clean: false,
      outcome: { generation: 6, result: "ready" },
      revision: binding.revision + 1,
      updatedAt: 99,
    });
  });

  it("binds once: the next report finds nothing to bind", () => {
    const first = apply(binding, done).deployable;
    expect(apply(first, done).bound).toEqual([]);
  });

  it.each<[string, Partial<Report>]>([
    [
      "the fence is lower",
      { ...done, handles: { pf: { fence: 0, state: "unplugged", clean: true } } },
    ],
    ["the handle is not told of", { ...done, handles: {} }],
    ["another image is loaded", { loaded: loadedWith(gzip) }],
    ["the card is blank", { loaded: { functionId: null } }],
    ["it is still under way", { ...done, phase: "programming" }],
    ["the agent rests without having done it", { ...done, phase: "idle" }],
    ["the card is degraded", { ...done, health: { state: "degraded" } }],
  ])("does not bind it when %s", (_why, facts) => {
    const { deployable: after, bound, failed } = apply(binding, facts);
    expect({ bound, failed }).toEqual(nothing);
    expect(after.handles["pf"]?.holder?.binding).toBe(true);
  });

  it("never binds it on a card that is gone", () => {
    expect(apply(binding, { ...done, health: { state: "gone" } }).bound).toEqual([]);
  });

  it("raises its fence out of reach when the agent has seen a higher one", () => {
    const told = { pf: { fence: 7, state: "unplugged" as const, clean: true } };
    const { deployable: after, bound } = apply(binding, { ...done, handles: told });
    expect(bound).toEqual([]);
    expect(after.handles["pf"]?.fence).toBe(8);
  });

  it("fails it, takes the handle back and scrubs, all in one revision", () => {
    const { deployable: after, bound, failed } = apply(binding, { phase: "failed", error });
    expect(bound).toEqual([]);
    expect(failed).toEqual([{ claim: "c1", handle: "pf", fence: 1, error }]);
    expect(after).toMatchObject({ imageGeneration: 7, revision: binding.revision + 1 });
    expect(after.wish).toEqual({ scrub: "erase" });
    expect(after.handles["pf"]).toMatchObject({ fence: 2, state: "releasing" });
    expect(after.handles["pf"]?.holder).toBeUndefined();
  });

  it("gives a failure without words a code", () => {
    const [failed] = apply(binding, { phase: "failed" }).failed;
    expect(failed?.error?.code).toBe("PROGRAM_FAILED");
  });

  it("changes nothing more once the bind has failed", () => {
    const failed = apply(binding, { phase: "failed", error }).deployable;
    const late = apply(failed, { ...done, imageGeneration: 6 });
    expect(late).toMatchObject(nothing);
    expect(late.deployable.handles).toEqual(failed.handles);
  });

  it("binds a claim without image as soon as its fence is seen", () => {
    const plain = grant(deployable(), [{ claim: "c1", project: "p1", handle: "pf" }], undefined, 0);
    expect(apply(plain).bound).toHaveLength(1);
    expect(plain.imageGeneration).toBe(5);
  });

  it("fails all that wait on a shared card and leaves the bound one its image", () => {
    const handles = { vf0: held("c0"), vf1: handle() };
    const one = shared("any", { handles, clean: false, wish: { image: crypto } });
    const two = grant(one, [{ claim: "c1", project: "p1", handle: "vf1" }], gzip, 0);
    const { deployable: after, failed } = apply(two, { phase: "failed", error });
    expect(failed.map(({ claim }) => claim)).toEqual(["c1"]);
    expect(after.handles["vf0"]).toEqual(handles.vf0);
    expect(after.wish.scrub).toBeUndefined();
  });
});

describe("a report about handles", () => {
  const claimed = deployable({ handles: { pf: held("c1", { plugged: true }) }, clean: false });
  const attachment = { hypervisor: "libvirt", pciAddress: "0000:5e:00.0", xml: "<hostdev/>" };

  it("plugs and unplugs a claimed handle", () => {
    const plugged = { pf: { fence: 1, state: "plugged" as const, clean: false, attachment } };
    const after = apply(claimed, { handles: plugged }).deployable;
    expect(after.handles["pf"]).toMatchObject({ state: "plugged", attachment });
    const out = { pf: { fence: 1, state: "unplugged" as const, clean: false, error } };
    const back = apply(after, { handles: out }).deployable;
    expect(back.handles["pf"]).toMatchObject({ state: "claimed", error, holder: { claim: "c1" } });
    expect(back.handles["pf"]?.attachment).toBeUndefined();
  });

  it("says nothing of a handle under another fence", () => {
    const told = { pf: { fence: 0, state: "plugged" as const, clean: true } };
    expect(apply(claimed, { handles: told }).deployable.handles).toEqual(claimed.handles);
  });

  it("frees a dirty handle only when it is out, clean, and the scrub is proven", () => {
    const clean = { pf: { fence: 2, state: "unplugged" as const, clean: true } };
    const after = apply(releasing, { handles: clean });
    expect(after.deployable.handles["pf"]).toMatchObject({ state: "free", fence: 2 });
    expect(isOfferable(after.deployable)).toBe(true);
    for (const facts of [
      { handles: { pf: { ...clean.pf, clean: false } } },
      { handles: { pf: { ...clean.pf, state: "plugged" as const } } },
      { handles: { pf: { ...clean.pf, fence: 1 } } },
      { handles: clean, phase: "scrubbing" },
      { handles: clean, clean: false },
      { handles: clean, phase: "failed", error },
    ]) {
      const kept = apply(releasing, facts).deployable;
      expect(kept.handles["pf"]?.state).toBe("releasing");
      expect(isOfferable(kept)).toBe(false);
    }
  });

  it("keeps the agent's reason on a handle that cannot be cleaned yet", () => {
    const told = { pf: { fence: 2, state: "plugged" as const, clean: false, error } };
    expect(apply(releasing, { handles: told }).deployable.handles["pf"]?.error).toEqual(error);
  });

  it("frees the handle of a shared card beside a claim by its own cleaning alone", () => {
    const handles = { vf0: held("c0"), vf1: handle({ state: "releasing", fence: 3 }) };
    const one = shared("project", { handles, clean: false });
    const after = apply(one, { clean: false }).deployable;
    expect(after.handles["vf1"]?.state).toBe("free");
    expect(isOfferable(after)).toBe(true);
  });

  it.each([
    ["has no proof any more", { fence: 0, state: "unplugged", clean: false }],
    ["is in a guest", { fence: 0, state: "plugged", clean: true }],
  ] as const)("takes a free handle off offer that %s", (_why, told) => {
    const after = apply(deployable(), { handles: { pf: told } }).deployable;
    expect(after.handles["pf"]?.state).toBe("releasing");
    expect(isOfferable(after)).toBe(false);
  });
});
