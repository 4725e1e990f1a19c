import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { uuidOf } from "#protocol/uuid";
import type { Desired } from "#protocol/wire/messages";
import type { ImageReference } from "#protocol/wire/shapes";
import { emptyJournal, type Journal } from "../../../agent/memory/journal.ts";
import { type DeployableMarks, noMarks } from "../../../agent/memory/marks.ts";
import { absorbed } from "../../../agent/reconcile/intake.ts";
import { occupiedHandles } from "../../../agent/reconcile/occupied.ts";
import { plan } from "../../../agent/reconcile/plan.ts";
import type { Memory, Plan, Reality, Step, Wish } from "../../../agent/reconcile/step.ts";

const bootId = uuidOf("boot");
const claim = { id: uuidOf("claim"), project: "p" };
const target = { hypervisor: "libvirt", domain: "d" } as const;

function image(name: string): ImageReference {
  const sha256 = "a".repeat(63) + name;
  const id = uuidOf("image", name);
  const functionId = uuidOf("function", name);
  const facts = { size: 10, md5: "b".repeat(32), format: "gbs", vendor: "intel" } as const;
  return { ...facts, id, url: "https://x", sha256, type: "crypto", functionId };
}
const one = image("1");
const two = image("2");

function reality(changes: Partial<Reality> = {}): Reality {
  const vf = { address: "0000:3b:00.1", iommuGroup: 7, type: "VF", onVfio: false } as const;
  return {
    bootId,
    loaded: { functionId: null },
    health: { state: "ok" },
    handles: { vf0: { ...vf, holders: [] }, vf1: { ...vf, holders: [] } },
    image: "absent",
    ...changes,
  };
}

function wish(changes: Partial<Wish> = {}): Wish {
  return { revision: 1, imageGeneration: 1, handles: {}, ...changes };
}

function memory(
  changes: {
    readonly marks?: Partial<DeployableMarks>;
    readonly journal?: Partial<Journal>;
    readonly resting?: readonly string[];
  } = {},
): Memory {
  const work = { generation: 1, tries: 0 };
  return {
    marks: { ...noMarks, imageGeneration: 1, work, ...changes.marks },
    journal: { ...emptyJournal(bootId), ...changes.journal },
    resting: new Set(changes.resting),
  };
}

const done = { work: { generation: 1, tries: 0, outcome: "ready" } } as const;
const free = { fence: 1, plugged: false } as const;
const pluggedWish = { fence: 1, claim, plugged: true, target } as const;
const plugged = {
  vf0: { plug: { bootId, claim: claim.id, target, attachment: { hypervisor: "libvirt" } } },
};
const bound = { address: "0000:3b:00.1", previousDriver: "dfl-pci", previousOverride: null };

describe("the next step", () => {
  const cases: readonly (readonly [string, Wish | undefined, Reality, Memory, Partial<Plan>])[] = [
    ["nothing without a wish", undefined, reality(), memory(), { kind: "done" }],
    ["settle an empty generation", wish(), reality(), memory(), { kind: "settle" }],
    ["scrub first", wish({ scrub: "erase", image: one }), reality(), memory(), { kind: "scrub" }],
    [
      "fetch when the scrub is proven",
      wish({ scrub: "erase", image: one }),
      reality(),
      memory({ marks: { work: { generation: 1, tries: 0, scrubbed: bootId } } }),
      { kind: "fetch" },
    ],
    [
      "scrub again when it was proven in another boot",
      wish({ scrub: "erase" }),
      reality(),
      memory({ marks: { work: { generation: 1, tries: 0, scrubbed: uuidOf("other") } } }),
      { kind: "scrub" },
    ],
    [
      "verify what is cached",
      wish({ image: one }),
      reality({ image: "cached" }),
      memory(),
      { kind: "verify" },
    ],
    [
      "program what is verified",
      wish({ image: one }),
      reality({ image: "verified" }),
      memory(),
      { kind: "program" },
    ],
    [
      "settle when the image is loaded already",
      wish({ image: one }),
      reality({ loaded: { functionId: one.functionId } }),
      memory(),
      { kind: "settle" },
    ],
    [
      "program a loaded image again when forced",
      wish({ image: one, force: true }),
      reality({ loaded: { functionId: one.functionId }, image: "verified" }),
      memory(),
      { kind: "program" },
    ],
    [
      "not force twice",
      wish({ image: one, force: true }),
      reality({ loaded: { functionId: one.functionId }, image: "verified" }),
      memory({ marks: { work: { generation: 1, tries: 0, programmed: uuidOf("op") } } }),
      { kind: "settle" },
    ],
    [
      "nothing more for a failed generation",
      wish({ image: one }),
      reality(),
      memory({ marks: { work: { generation: 1, tries: 2, outcome: "failed" } } }),
      { kind: "done" },
    ],
    [
      "load again for a claim after a reboot",
      wish({ image: one, handles: { vf0: { fence: 1, claim, plugged: false } } }),
      reality(),
      memory({ marks: done }),
      { kind: "fetch" },
    ],
    [
      "leave a free card blank after a reboot",
      wish({ image: one, handles: { vf0: free } }),
      reality(),
      memory({ marks: done }),
      { kind: "done" },
    ],
    [
      "bind before plug",
      wish({ handles: { vf0: pluggedWish } }),
      reality(),
      memory({ marks: done }),
      { kind: "bind" },
    ],
    [
      "plug what is bound",
      wish({ handles: { vf0: pluggedWish } }),
      onVfio(reality()),
      memory({ marks: done }),
      { kind: "plug" },
    ],
    [
      "plug again when the journal has no answer",
      wish({ handles: { vf0: pluggedWish } }),
      onVfio(reality()),
      memory({
        marks: done,
        journal: { handles: { vf0: { plug: { bootId, claim: claim.id, target } } } },
      }),
      { kind: "plug" },
    ],
    [
      "not plug before the image part is met",
      wish({ image: one, handles: { vf0: pluggedWish } }),
      reality({ image: "verified" }),
      memory(),
      { kind: "program" },
    ],
    [
      "unplug for another claim before anything else",
      wish({ handles: { vf0: { ...pluggedWish, claim: { id: uuidOf("next"), project: "q" } } } }),
      onVfio(reality()),
      memory({ marks: done, journal: { handles: plugged } }),
      { kind: "unplug" },
    ],
    [
      "unplug for another domain",
      wish({ handles: { vf0: { ...pluggedWish, target: { ...target, domain: "e" } } } }),
      onVfio(reality()),
      memory({ marks: done, journal: { handles: plugged } }),
      { kind: "unplug" },
    ],
    [
      "give back what is only bound",
      wish({ handles: { vf0: free } }),
      onVfio(reality()),
      memory({ marks: done, journal: { handles: { vf0: { bound } } } }),
      { kind: "unplug" },
    ],
    [
      "unplug although the generation failed",
      wish({ handles: { vf0: free } }),
      onVfio(reality()),
      memory({
        marks: { work: { generation: 1, tries: 2, outcome: "failed" } },
        journal: { handles: plugged },
      }),
      { kind: "unplug" },
    ],
    [
      "wait while a stranger holds a handle",
      wish({ scrub: "erase" }),
      held(reality()),
      memory(),
      { kind: "blocked", code: "IN_USE" },
    ],
    [
      "wait with a program that must not touch a guest",
      wish({ image: one, handles: { vf0: pluggedWish } }),
      onVfio(reality({ image: "verified" })),
      memory({ journal: { handles: plugged } }),
      { kind: "blocked", code: "IN_USE" },
    ],
    [
      "take its own guest's handle when replug is allowed",
      wish({ image: one, replug: true, handles: { vf0: pluggedWish } }),
      onVfio(reality({ image: "verified" })),
      memory({ journal: { handles: plugged } }),
      { kind: "unplug" },
    ],
    [
      "prepare the image before the guest loses its handle",
      wish({ image: one, replug: true, handles: { vf0: pluggedWish } }),
      onVfio(reality()),
      memory({ journal: { handles: plugged } }),
      { kind: "fetch" },
    ],
    [
      "clean a handle that no scrub covers",
      wish({ handles: { vf0: { ...free, clean: true } } }),
      reality(),
      memory({ marks: done }),
      { kind: "clean-handle", fence: 1 },
    ],
    [
      "not clean a handle twice at one fence",
      wish({ handles: { vf0: { ...free, clean: true } } }),
      reality(),
      memory({ marks: { ...done, handleClean: { vf0: { bootId, fence: 1 } } } }),
      { kind: "done" },
    ],
    [
      "clean again in another boot",
      wish({ handles: { vf0: { ...free, clean: true } } }),
      reality(),
      memory({ marks: { ...done, handleClean: { vf0: { bootId: uuidOf("other"), fence: 1 } } } }),
      { kind: "clean-handle" },
    ],
    [
      "not clean after a scrub that failed",
      wish({ scrub: "erase", handles: { vf0: { ...free, clean: true } } }),
      reality(),
      memory({ marks: { work: { generation: 1, tries: 2, outcome: "failed" } } }),
      { kind: "done" },
    ],
    [
      "wait for a released handle that is still held",
      wish({ handles: { vf0: free } }),
      held(reality()),
      memory({ marks: done }),
      { kind: "blocked", code: "IN_USE" },
    ],
    [
      "leave a claimed handle to Nova's libvirt",
      wish({ handles: { vf0: { fence: 1, claim, plugged: false } } }),
      held(reality()),
      memory({ marks: done }),
      { kind: "done" },
    ],
    [
      "touch nothing on a stuck card",
      wish({ scrub: "erase" }),
      reality(),
      memory({ journal: { stuck: { reason: "late" } } }),
      { kind: "blocked", code: "CARD_STUCK" },
    ],
    [
      "touch nothing on a card that is gone",
      wish({ scrub: "erase" }),
      reality({ health: { state: "gone" } }),
      memory(),
      { kind: "blocked", code: "CARD_GONE" },
    ],
    [
      "leave a resting handle alone",
      wish({ handles: { vf0: pluggedWish } }),
      reality(),
      memory({ marks: done, resting: ["vf0"] }),
      { kind: "done" },
    ],
    [
      "go on with a neighbour of a resting handle",
      wish({ handles: { vf0: pluggedWish, vf1: pluggedWish } }),
      reality(),
      memory({ marks: done, resting: ["vf0"] }),
      { kind: "bind", handle: "vf1" },
    ],
    [
      "read back what was acted",
      wish({ image: two }),
      reality(),
      memory({ journal: { operation: operation("acted", null) } }),
      { kind: "read-back" },
    ],
    [
      "read back an act that was cut off but happened",
      wish({ image: one }),
      reality({ loaded: { functionId: one.functionId } }),
      memory({ journal: { operation: operation("intended", null) } }),
      { kind: "read-back" },
    ],
    [
      "act again when the card said the target before already",
      wish({ image: one, force: true }),
      reality({ loaded: { functionId: one.functionId }, image: "verified" }),
      memory({ journal: { operation: operation("intended", one.functionId) } }),
      { kind: "program" },
    ],
    [
      "ignore an operation whose result is written",
      wish({ image: one }),
      reality({ loaded: { functionId: one.functionId } }),
      memory({
        marks: { lastOperation: uuidOf("op") },
        journal: { operation: operation("acted", null) },
      }),
      { kind: "settle" },
    ],
    [
      "do what permits say without a word on images",
      wish({ handlesOnly: true, imageGeneration: 9, handles: { vf0: pluggedWish } }),
      reality(),
      memory(),
      { kind: "bind" },
    ],
  ];
  test.each(cases)("%s", (_, ...[wished, now, remembered, expected]) => {
    expect(plan(wished, now, remembered)).toMatchObject(expected);
  });
});

function operation(stage: "intended" | "acted", before: string | null) {
  const { id, sha256, functionId } = one;
  const head = { id: uuidOf("op"), bootId, kind: "program", stage, generation: 1 } as const;
  return { ...head, before, at: 1, image: { id, sha256, functionId } };
}

function onVfio(now: Reality): Reality {
  const vf0 = now.handles["vf0"];
  return vf0 === undefined
    ? now
    : { ...now, handles: { ...now.handles, vf0: { ...vf0, onVfio: true } } };
}

function held(now: Reality): Reality {
  const vf0 = now.handles["vf0"];
  const holders = [{ pid: 7, command: "qemu" }];
  return vf0 === undefined
    ? now
    : { ...now, handles: { ...now.handles, vf0: { ...vf0, holders } } };
}

/** A host as the plan sees it, with steps that always succeed. */
class Model {
  now = reality();
  remembered = memory();

  absorb(wished: Wish): void {
    const marks = absorbed(this.remembered.marks, wished as Desired);
    this.remembered = { ...this.remembered, marks };
    this.now = { ...this.now, image: "absent" };
  }

  apply(step: Step): void {
    const { marks, journal } = this.remembered;
    switch (step.kind) {
      case "fetch":
        this.now = { ...this.now, image: "cached" };
        break;
      case "verify":
        this.now = { ...this.now, image: "verified" };
        break;
      case "scrub":
        this.expectEmpty();
        this.now = { ...this.now, loaded: { functionId: null } };
        this.work({ scrubbed: bootId });
        break;
      case "program":
        this.expectEmpty();
        this.now = { ...this.now, loaded: { functionId: step.image.functionId } };
        this.work({ programmed: uuidOf("op") });
        break;
      case "settle":
        this.work({ outcome: "ready" });
        break;
      case "bind":
        this.handle(step.handle, true);
        this.journal(step.handle, { bound });
        break;
      case "plug": {
        const attachment = { hypervisor: "libvirt" };
        const plug = { bootId, claim: step.claim.id, target: step.target, attachment };
        this.journal(step.handle, { ...journal.handles[step.handle], plug });
        break;
      }
      case "unplug": {
        this.handle(step.handle, false);
        const { [step.handle]: _, ...handles } = journal.handles;
        this.remembered = { ...this.remembered, journal: { ...journal, handles } };
        break;
      }
      case "clean-handle": {
        const proof = { bootId, fence: step.fence };
        const handleClean = { ...marks.handleClean, [step.handle]: proof };
        this.remembered = { ...this.remembered, marks: { ...marks, handleClean } };
        break;
      }
      case "repair":
      case "read-back":
        throw new Error("nothing to read back or repair in this model");
    }
  }

  expectEmpty(): void {
    expect(occupiedHandles(this.now, this.remembered)).toEqual([]);
  }

  work(change: Partial<NonNullable<DeployableMarks["work"]>>): void {
    const { marks } = this.remembered;
    const work = { generation: 1, tries: 0, ...marks.work, ...change };
    this.remembered = { ...this.remembered, marks: { ...marks, work } };
  }

  handle(name: string, vfio: boolean): void {
    const one = this.now.handles[name];
    if (one === undefined) return;
    this.now = { ...this.now, handles: { ...this.now.handles, [name]: { ...one, onVfio: vfio } } };
  }

  journal(name: string, record: Journal["handles"][string]): void {
    const { journal } = this.remembered;
    const handles = { ...journal.handles, [name]: record };
    this.remembered = { ...this.remembered, journal: { ...journal, handles } };
  }
}

const handleWish = fc.oneof(
  fc.record({ fence: fc.constant(0), plugged: fc.constant(false), clean: fc.boolean() }),
  fc.record({
    fence: fc.constant(0),
    plugged: fc.boolean(),
    claim: fc.constantFrom(claim, { id: uuidOf("claim 2"), project: "q" }),
    target: fc.constant(target),
  }),
);
const someWish = fc.record({
  scrub: fc.option(fc.constantFrom("erase" as const, "reset" as const), { nil: undefined }),
  image: fc.option(fc.constantFrom(one, two), { nil: undefined }),
  force: fc.boolean(),
  replug: fc.boolean(),
  raises: fc.boolean(),
  handles: fc.record({ vf0: handleWish, vf1: handleWish }),
});

test("any row of wishes is met or blocked in few steps, and no card in use is ever programmed", () => {
  fc.assert(
    fc.property(fc.array(someWish, { minLength: 1, maxLength: 6 }), (wishes) => {
      const model = new Model();
      let generation = 1;
      for (const [index, { raises, scrub, image: wanted, ...rest }] of wishes.entries()) {
        if (raises) generation += 1;
        const wished: Wish = {
          ...rest,
          revision: index + 1,
          imageGeneration: generation,
          ...(scrub === undefined ? {} : { scrub }),
          ...(wanted === undefined ? {} : { image: wanted }),
        };
        model.absorb(wished);
        let steps = 0;
        let next = plan(wished, model.now, model.remembered);
        while (next.kind !== "done" && next.kind !== "blocked") {
          model.apply(next);
          steps += 1;
          expect(steps).toBeLessThan(25);
          next = plan(wished, model.now, model.remembered);
        }
        if (next.kind === "done") expectMet(wished, model);
      }
    }),
  );
});

function expectMet(wished: Wish, { now, remembered }: Model): void {
  for (const [name, { plugged: wanted, claim: by }] of Object.entries(wished.handles)) {
    const plug = remembered.journal.handles[name]?.plug;
    expect(plug?.attachment !== undefined).toBe(wanted && by !== undefined);
    if (plug !== undefined) expect(plug.claim).toBe(by?.id);
  }
  const claimed = Object.values(wished.handles).some(({ claim: by }) => by !== undefined);
  if (wished.image !== undefined && claimed) {
    expect(now.loaded.functionId).toBe(wished.image.functionId);
  }
}
