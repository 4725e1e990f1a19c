import { describe, expect, it } from "vitest";
import { isOfferable } from "#domain/deployable";
import { crypto, deployable, gzip, held, loadedWith, otherBoot } from "./builders.ts";
import { apply, error } from "./reported.ts";

describe("a report about the card", () => {
  it("takes it off offer while it is degraded, and back on when it is well", () => {
    const bad = apply(deployable(), { health: { state: "degraded" } }).deployable;
    expect(isOfferable(bad)).toBe(false);
    expect(isOfferable(apply(bad).deployable)).toBe(true);
  });

  it("voids everything when it is gone, and has it scrubbed when it comes back", () => {
    const gone = apply(deployable(), { health: { state: "gone" }, handles: {} }).deployable;
    expect(gone).toMatchObject({ present: false, clean: false });
    expect(gone.handles["pf"]?.state).toBe("releasing");
    const back = apply(gone).deployable;
    expect(back).toMatchObject({ present: true, imageGeneration: 6, wish: { scrub: "erase" } });
    expect(isOfferable(back)).toBe(false);
  });

  it("scrubs a free card again that lost its proof, in the same revision", () => {
    const handles = { pf: { fence: 0, state: "unplugged" as const, clean: false } };
    const after = apply(deployable(), { clean: false, handles, bootId: otherBoot }).deployable;
    expect(after).toMatchObject({ imageGeneration: 6, revision: 11, bootId: otherBoot });
    expect(after.wish).toEqual({ scrub: "erase" });
  });

  it("believes a scrub that was done under the new boot", () => {
    const pending = deployable({ imageGeneration: 6, clean: false });
    const after = apply(pending, { bootId: otherBoot }).deployable;
    expect(after).toMatchObject({ clean: true, imageGeneration: 6, bootId: otherBoot });
    expect(isOfferable(after)).toBe(true);
  });

  it("starts a scrub over whose agent rests without having told its end", () => {
    const pending = deployable({
      imageGeneration: 6,
      clean: false,
      wish: { scrub: "erase", image: crypto },
    });
    const idle = { phase: "idle", clean: false, bootId: otherBoot };
    expect(apply(pending, idle).deployable).toMatchObject({
      imageGeneration: 7,
      wish: { scrub: "erase" },
    });
    const same = { ...idle, bootId: pending.bootId ?? "" };
    expect(apply(pending, { ...same, revision: 10 }).deployable.imageGeneration).toBe(7);
    expect(apply(pending, { ...same, revision: 9 }).deployable.imageGeneration).toBe(6);
  });

  it("leaves a card whose scrub failed alone until someone acts", () => {
    const pending = deployable({ imageGeneration: 6, clean: false });
    const after = apply(pending, { phase: "failed", error, clean: false }).deployable;
    expect(after).toMatchObject({
      imageGeneration: 6,
      outcome: { generation: 6, result: "failed", error },
    });
    expect(isOfferable(after)).toBe(false);
  });

  it("does not call a claimed card clean", () => {
    const claimed = deployable({ handles: { pf: held("c1") }, clean: false });
    expect(apply(claimed, { clean: true }).deployable.clean).toBe(false);
  });

  it("forgets which bytes are loaded when the card says another function or the host rebooted", () => {
    const one = deployable({ loaded: loadedWith(crypto), loadedType: "crypto" });
    const { functionId } = crypto;
    expect(apply(one, { loaded: { functionId } }).deployable.loaded).toEqual(loadedWith(crypto));
    const after = apply(one, { loaded: { functionId }, bootId: otherBoot }).deployable;
    expect(after.loaded).toEqual({ functionId });
    expect(after.loadedType).toBeUndefined();
    const other = apply(one, { loaded: { functionId: gzip.functionId } }).deployable;
    expect(other.loaded).toEqual({ functionId: gzip.functionId });
    expect(apply(one, { loaded: { functionId: null } }).deployable.loadedType).toBeUndefined();
  });
});
