import { describe, expect, it } from "vitest";
import {
  abandon,
  attach,
  detach,
  grant,
  hasLoaded,
  program,
  release,
  retry,
  scrubIfUnproven,
  startOver,
} from "#domain/transitions";
import { crypto, deployable, gzip, handle, held, loadedWith, shared } from "./builders.ts";

const taker = (name: string, claim = "c1") => ({ claim, project: "p1", handle: name });

describe("a grant", () => {
  it("raises the fence, names the holder and wishes the image in a new generation", () => {
    const after = grant(deployable(), [taker("pf")], crypto, 50);
    expect(after.handles["pf"]).toMatchObject({
      fence: 1,
      state: "claimed",
      holder: { claim: "c1", project: "p1", binding: true },
      plugged: false,
    });
    expect(after).toMatchObject({
      imageGeneration: 6,
      wish: { image: crypto },
      clean: false,
      revision: 11,
      updatedAt: 50,
      lastProject: "p1",
    });
  });

  it("programs nothing when exactly these bytes are loaded by our own record", () => {
    const loaded = deployable({ loaded: loadedWith(crypto) });
    const after = grant(loaded, [taker("pf")], crypto, 0);
    expect(after).toMatchObject({ imageGeneration: 5, wish: { image: crypto }, clean: false });
  });

  it("programs when only the function id is the same", () => {
    const loaded = { functionId: crypto.functionId };
    expect(grant(deployable({ loaded }), [taker("pf")], crypto, 0).imageGeneration).toBe(6);
    expect(hasLoaded(deployable({ loaded }), crypto)).toBe(false);
  });

  it("without an image leaves no scrub wished that a forgetful agent could do under the tenant", () => {
    const wish = { scrub: "erase", image: crypto } as const;
    const kept = grant(
      deployable({ wish, loaded: loadedWith(crypto) }),
      [taker("pf")],
      undefined,
      0,
    );
    expect(kept).toMatchObject({ wish: { image: crypto }, imageGeneration: 5, clean: false });
    expect(kept.wish.scrub).toBeUndefined();
    expect(grant(deployable({ wish }), [taker("pf")], undefined, 0).wish).toEqual({});
  });

  it("without an image keeps what the neighbours want on a shared card", () => {
    const handles = { vf0: held("c0"), vf1: handle() };
    const one = shared("any", { handles, wish: { image: gzip }, clean: false });
    expect(grant(one, [taker("vf1")], undefined, 0).wish).toEqual({ image: gzip });
  });

  it("takes several handles in one revision", () => {
    const after = grant(shared("any"), [taker("vf0", "c1"), taker("vf1", "c2")], undefined, 0);
    expect(after.revision).toBe(11);
    expect(Object.values(after.handles).map(({ fence, holder }) => [fence, holder?.claim])).toEqual(
      [
        [1, "c1"],
        [1, "c2"],
      ],
    );
  });
});

describe("a release", () => {
  const claimed = deployable({
    handles: { pf: held("c1", { fence: 4, state: "plugged", plugged: true }) },
    clean: false,
    wish: { image: crypto },
    loaded: loadedWith(crypto),
  });

  it("raises the fence and leaves the handle dirty and wished unplugged", () => {
    const { handles } = release(claimed, "pf", 0);
    expect(handles["pf"]).toMatchObject({ fence: 5, state: "releasing", plugged: false });
    expect(handles["pf"]?.holder).toBeUndefined();
  });

  it("of the last one out erases and loads a shareable image again", () => {
    expect(release(claimed, "pf", 0)).toMatchObject({
      imageGeneration: 6,
      wish: { scrub: "erase", image: crypto },
      clean: false,
    });
  });

  it.each([
    ["is private", { wish: { image: gzip }, loaded: loadedWith(gzip) }],
    ["was never proven on the card", { loaded: { functionId: null } }],
    ["failed on the card", { outcome: { generation: 5, result: "failed" as const } }],
  ])("erases without a reload when the image %s", (_why, facts) => {
    const after = release({ ...claimed, ...facts }, "pf", 0);
    expect(after.imageGeneration).toBe(6);
    expect(after.wish).toEqual({ scrub: "erase" });
  });

  it("erases nothing while a neighbour is claimed, and then erases with the last", () => {
    const handles = { vf0: held("c1"), vf1: held("c2") };
    const first = release(shared("any", { handles, clean: false }), "vf0", 0);
    expect(first).toMatchObject({ imageGeneration: 5, revision: 11 });
    expect(first.handles["vf1"]).toBe(handles.vf1);
    expect(release(first, "vf1", 0)).toMatchObject({
      imageGeneration: 6,
      wish: { scrub: "erase" },
    });
  });

  it("of a reset card erases nothing, but stops a program that nobody waits for", () => {
    const reset = { ...claimed, scrubMethod: "reset" as const };
    expect(release(reset, "pf", 0).imageGeneration).toBe(5);
    const after = release({ ...reset, imageGeneration: 6 }, "pf", 0);
    expect(after).toMatchObject({ imageGeneration: 7, wish: {} });
  });
});

describe("a bind that is given up", () => {
  const binding = { claim: "c1", project: "p1", binding: true };

  it("takes the handle back and scrubs, without loading the image that failed", () => {
    const one = deployable({
      handles: { pf: held("c1", { holder: binding }) },
      imageGeneration: 6,
      wish: { image: crypto },
      loaded: loadedWith(crypto),
    });
    const after = abandon(one, "pf", 0);
    expect(after).toMatchObject({ imageGeneration: 7, revision: 11 });
    expect(after.wish).toEqual({ scrub: "erase" });
    expect(after.handles["pf"]).toMatchObject({ fence: 2, state: "releasing" });
  });

  it("raises the generation once and keeps the image of the neighbours on a shared card", () => {
    const handles = { vf0: held("c0"), vf1: held("c1", { holder: binding }) };
    const after = abandon(shared("any", { handles, wish: { image: gzip } }), "vf1", 0);
    expect(after).toMatchObject({ imageGeneration: 6, wish: { image: gzip } });
    expect(after.handles["vf0"]).toEqual(handles.vf0);
  });

  it("raises one generation on a reset card, also while its program is pending", () => {
    const handles = { pf: held("c1", { holder: binding }) };
    const one = deployable({ handles, scrubMethod: "reset", wish: { image: gzip } });
    expect(abandon(one, "pf", 0)).toMatchObject({ imageGeneration: 6, wish: {} });
    expect(abandon({ ...one, imageGeneration: 6 }, "pf", 0)).toMatchObject({ imageGeneration: 7 });
  });

  it("raises no generation where nothing can be programmed", () => {
    const handles = { pf: held("c1", { holder: binding }) };
    const one = deployable({ handles, scrubMethod: "reset", programmable: false });
    expect(abandon(one, "pf", 0)).toMatchObject({ imageGeneration: 5, revision: 11 });
  });
});

describe("plug wishes and programs", () => {
  it("set and take back the target without touching fence or generation", () => {
    const claimed = deployable({ handles: { pf: held("c1") } });
    const target = { hypervisor: "libvirt", domain: "vm" } as const;
    const attached = attach(claimed, "pf", target, 0);
    expect(attached).toMatchObject({ imageGeneration: 5, revision: 11 });
    expect(attached.handles["pf"]).toMatchObject({ plugged: true, target, fence: 1 });
    const detached = detach(attached, "pf", 0);
    expect(detached.handles["pf"]).toMatchObject({ plugged: false, fence: 1 });
    expect(detached.handles["pf"]?.holder?.claim).toBe("c1");
  });

  it("raise the generation for a program and void cleanliness", () => {
    const after = program(deployable(), { image: gzip, force: true, replug: true }, 0);
    expect(after).toMatchObject({ imageGeneration: 6, clean: false, revision: 11 });
    expect(after.wish).toEqual({ image: gzip, force: true, replug: true });
  });
});

describe("a scrub that follows from lost proof", () => {
  it("is wished once for a free erase card", () => {
    const after = scrubIfUnproven(deployable({ clean: false }), 0);
    expect(after).toMatchObject({ imageGeneration: 6, wish: { scrub: "erase" } });
    expect(scrubIfUnproven(after, 0)).toBe(after);
  });

  it.each([
    ["clean", {}],
    ["held", { clean: false, handles: { pf: held("c1") } }],
    ["gone", { clean: false, present: false }],
    ["failed", { clean: false, outcome: { generation: 5, result: "failed" as const } }],
    ["cleaned by reset", { clean: false, scrubMethod: "reset" as const }],
  ])("is not wished for a card that is %s", (_word, facts) => {
    const one = deployable(facts);
    expect(scrubIfUnproven(one, 0)).toBe(one);
  });

  it("starts over only on a free erase card that is there", () => {
    expect(startOver(deployable(), 0).imageGeneration).toBe(6);
    const absent = deployable({ present: false });
    expect(startOver(absent, 0)).toBe(absent);
  });

  it("is repeated by an operator with the card's own method, or with the holders' wish", () => {
    const failed = { outcome: { generation: 5, result: "failed" as const } };
    expect(retry(deployable(failed), 0)).toMatchObject({
      imageGeneration: 6,
      wish: { scrub: "erase" },
    });
    expect(retry(deployable({ ...failed, scrubMethod: "reset" }), 0).wish).toEqual({
      scrub: "reset",
    });
    expect(retry(deployable({ ...failed, scrubMethod: undefined }), 0).wish).toEqual({});
    const claimed = deployable({ ...failed, handles: { pf: held("c1") }, wish: { image: gzip } });
    expect(retry(claimed, 0).wish).toEqual({ image: gzip });
  });
});
