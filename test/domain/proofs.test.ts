import { describe, expect, it } from "vitest";
import { isPending } from "#domain/deployable";
import { hasLoaded, lift, mark } from "#domain/transitions";
import { crypto, deployable, gzip, held, loadedWith, otherBoot, shared } from "./builders.ts";

describe("marks of host and operator", () => {
  it("return the same object when nothing changes", () => {
    const one = deployable();
    expect(mark(one, { hostOnline: true, enabled: true }, 9)).toBe(one);
    expect(mark(one, { enabled: false }, 9)).toMatchObject({ enabled: false, revision: 11 });
  });

  it("keep the proofs of a host that was only silent", () => {
    const back = mark(mark(deployable(), { hostOnline: false }, 0), { hostOnline: true }, 0);
    expect(back).toMatchObject({ clean: true, imageGeneration: 5, revision: 12 });
  });

  it("void every proof after a reboot and wish one scrub in the same revision", () => {
    const one = deployable({ loaded: loadedWith(crypto), loadedType: "crypto" });
    const after = mark(one, { hostOnline: true, bootId: otherBoot }, 0);
    expect(after).toMatchObject({
      clean: false,
      imageGeneration: 6,
      revision: 11,
      wish: { scrub: "erase" },
      bootId: otherBoot,
    });
    expect(after.handles["pf"]?.state).toBe("releasing");
    expect(hasLoaded(after, crypto)).toBe(false);
    expect(isPending(after)).toBe(true);
  });

  it("start a pending scrub over after a reboot, but leave a bound claim as it is", () => {
    const pending = deployable({ imageGeneration: 6, clean: false });
    expect(mark(pending, { bootId: otherBoot }, 0)).toMatchObject({ imageGeneration: 7 });
    const claimed = deployable({
      handles: { pf: held("c1") },
      clean: false,
      wish: { image: gzip },
    });
    const after = mark(claimed, { bootId: otherBoot }, 0);
    expect(after).toMatchObject({ imageGeneration: 5, wish: { image: gzip } });
    expect(after.handles["pf"]).toEqual(claimed.handles["pf"]);
  });

  it("dirty the handles of a reset card after a reboot", () => {
    const after = mark(deployable({ scrubMethod: "reset" }), { bootId: otherBoot }, 0);
    expect(after.handles["pf"]?.state).toBe("releasing");
    expect(after.imageGeneration).toBe(5);
  });

  it("void the proofs of a card that vanished", () => {
    const after = mark(deployable(), { present: false }, 0);
    expect(after).toMatchObject({ clean: false, imageGeneration: 5, revision: 11 });
  });
});

describe("a lift above the agent's marks", () => {
  it("raises what is behind beyond the mark and touches nothing else", () => {
    const one = shared("any", { imageGeneration: 5 });
    const after = lift(one, { imageGeneration: 9, fences: { vf0: 3, unknown: 8 } }, 0);
    expect(after).toMatchObject({ imageGeneration: 10, clean: false, revision: 11 });
    expect(after.handles["vf0"]?.fence).toBe(4);
    expect(after.handles["vf1"]?.fence).toBe(0);
    expect(Object.keys(after.handles)).toEqual(["vf0", "vf1"]);
  });

  it("never lowers and returns the same object when nothing is behind", () => {
    const one = deployable();
    expect(lift(one, { imageGeneration: 5, fences: { pf: 0 } }, 0)).toBe(one);
    expect(lift(one, { imageGeneration: 1, fences: {} }, 0)).toBe(one);
  });
});
