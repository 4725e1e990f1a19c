import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  advance,
  type CardOperation,
  type CardRequest,
  cardKinds,
  checkCardRequest,
  checkOperable,
  giveBack,
  layouts,
  overdue,
  withhold,
} from "#domain/card";
import {
  type Deployable,
  isOfferable,
  lostReason,
  notOfferable,
  stateOf,
} from "#domain/deployable";
import { enrol } from "#domain/enrol";
import { type FaultCode, isFault } from "#domain/faults";
import type { Device } from "#domain/host";
import { applyReport } from "#domain/report";
import { mark } from "#domain/transitions";
import { boot, deployable, handle, held, report, shared, uuid } from "./builders.ts";

const device: Device = {
  id: uuid(200),
  host: uuid(100),
  hostName: "node-1",
  cardId: "slot-1",
  kind: "FPGA",
  vendor: "intel",
  product: "n3000",
  pciVendor: "8086",
  pciDevice: "0b30",
  address: "0000:5e:00.0",
  driver: "dfl",
  layout: "vfs",
  present: true,
  deployables: [uuid(1)],
  updatedAt: 0,
};

const operation: CardOperation = {
  id: uuid(400),
  host: device.host,
  hostName: device.hostName,
  device: device.id,
  cardId: device.cardId,
  kind: "rebind",
  state: "pending",
  requestedAt: 0,
  deadline: 1000,
  updatedAt: 0,
};

const code = (expected: FaultCode, detail: object = {}) =>
  expect.toSatisfy((error) => {
    expect(error).toMatchObject({ detail });
    return isFault(error, expected);
  });
const thrown = (run: () => void): unknown => {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe("what may be asked of a card", () => {
  test.each<CardRequest>([
    { kind: "layout", layout: "vfs", vfs: 1 },
    { kind: "layout", layout: "vfs", vfs: 64 },
    { kind: "layout", layout: "regions", vfs: 2 },
    { kind: "layout", layout: "regions" },
    { kind: "layout", layout: "pf" },
    { kind: "layout", layout: "pf", vfs: 0 },
    { kind: "layout", layout: "whole" },
    { kind: "rebind" },
    { kind: "rescan" },
  ])("%j", (request) => {
    expect(thrown(() => checkCardRequest(request))).toBeUndefined();
  });

  test.each<[string, CardRequest]>([
    ["layout", { kind: "layout" }],
    ["layout", { kind: "rebind", layout: "pf" }],
    ["vfs", { kind: "rescan", vfs: 2 }],
    ["vfs", { kind: "layout", layout: "vfs" }],
    ["vfs", { kind: "layout", layout: "vfs", vfs: 0 }],
    ["vfs", { kind: "layout", layout: "vfs", vfs: 65 }],
    ["vfs", { kind: "layout", layout: "regions", vfs: 1.5 }],
    ["vfs", { kind: "layout", layout: "pf", vfs: 1 }],
    ["vfs", { kind: "layout", layout: "whole", vfs: 4 }],
  ])("but %s is wrong in %j", (field, request) => {
    expect(thrown(() => checkCardRequest(request))).toEqual(code("INVALID_REQUEST", { field }));
  });
});

describe("a card may be operated on", () => {
  const refusal = (members: readonly Deployable[], kind: CardOperation["kind"] = "layout") =>
    thrown(() => checkOperable(device, members, kind));

  test("when all its handles are free, whatever is on or off offer", () => {
    expect(refusal([deployable(), shared("any"), deployable({ enabled: false })])).toBeUndefined();
  });

  test("never while a claim holds a handle: the answer names both", () => {
    const member = shared("any", {
      health: { state: "stuck" },
      handles: { vf0: handle(), vf1: held("claim-1") },
    });
    expect(refusal([deployable(), member], "rebind")).toEqual(
      code("IN_USE", { deployable: member.id, handle: "vf1", claim: "claim-1" }),
    );
  });

  test.each<[string, Partial<Deployable>]>([
    ["a generation is under way", { imageGeneration: 6 }],
    ["a handle is being released", { handles: { pf: handle({ state: "releasing" }) } }],
    ["another operation holds it", { cardOperation: operation.id }],
  ])("not while %s", (_, facts) => {
    const member = deployable(facts);
    expect(refusal([member])).toEqual(code("WRONG_STATE", { deployable: member.id }));
  });

  test.each<[string, Partial<Deployable>]>([
    ["is stuck", { health: { state: "stuck" } }],
    ["needs recovery", { health: { state: "degraded" } }],
    ["could not be scrubbed", { outcome: { generation: 5, result: "failed" } }],
  ])("although it is dirty, when it %s: it waits for the operation", (_, facts) => {
    const dirty = { handles: { pf: handle({ state: "releasing" }) }, ...facts };
    expect(refusal([deployable(dirty)], "rebind")).toBeUndefined();
  });

  test("although a handle of another layout was never cleaned", () => {
    const lost = handle({ state: "releasing", attachable: false, reason: lostReason });
    expect(refusal([deployable({ handles: { pf: handle(), vf0: lost } })])).toBeUndefined();
  });

  test("when it is gone only to be looked for", () => {
    const gone = { ...device, present: false };
    const members = [deployable({ present: false })];
    expect(thrown(() => checkOperable(gone, members, "rescan"))).toBeUndefined();
    for (const kind of ["layout", "rebind"] as const) {
      const field = "device";
      expect(thrown(() => checkOperable(gone, members, kind))).toEqual(
        code("WRONG_STATE", { field }),
      );
    }
  });
});

describe("while an operation holds the card", () => {
  test("a deployable says so and is not offered", () => {
    const one = withhold(deployable(), operation.id, 5);
    expect(one).toMatchObject({ revision: 11, updatedAt: 5, cardOperation: operation.id });
    expect(stateOf(one)).toEqual({ state: "disabled", reason: "an operation holds its card" });
    expect(notOfferable(one)).toEqual(["an operation holds its card"]);
  });

  test("nothing that comes puts it on offer: reports, inventories, operators, hellos", () => {
    const found = {
      id: uuid(1),
      region: "pr0",
      interfaceId: "region-a",
      programmable: true,
      scrubMethod: "erase",
      sharing: "none",
      loaded: { functionId: null },
      health: { state: "ok" },
      handles: [{ name: "pf", type: "PF", address: "0000:5e:00.0", attachable: true }],
    } as const;
    const finder = { host: device.host, hostName: "node-1", device: device.id, online: true };
    const step = fc.constantFrom<(one: Deployable) => Deployable>(
      (one) => applyReport(one, report(one), 1).deployable,
      (one) => applyReport(one, report(one, { clean: false }), 1).deployable,
      (one) => enrol(one, found, { finder, device }, 1),
      () =>
        enrol(undefined, found, { finder: { ...finder, cardOperation: operation.id }, device }, 1),
      (one) => mark(one, { enabled: false }, 1),
      (one) => mark(one, { enabled: true }, 1),
      (one) => mark(one, { hostOnline: false }, 1),
      (one) => mark(one, { hostOnline: true, bootId: boot }, 1),
      (one) => mark(one, { present: false }, 1),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let one = withhold(deployable(), operation.id, 0);
        for (const take of steps) {
          one = take(one);
          expect(isOfferable(one)).toBe(false);
        }
      }),
    );
  });
});

describe("when it is over", () => {
  const taken = (facts: Partial<Deployable> = {}) => withhold(deployable(facts), operation.id, 0);

  test("an erased card is erased again, and no report from before counts", () => {
    const before = taken();
    const after = giveBack(before, "layout", 9);
    expect(after).toMatchObject({
      revision: before.revision + 1,
      imageGeneration: before.imageGeneration + 1,
      wish: { scrub: "erase" },
      clean: false,
      handles: { pf: { state: "releasing", fence: 1 } },
    });
    expect("cardOperation" in after).toBe(false);
    const late = applyReport(after, report(before), 10).deployable;
    expect(isOfferable(late)).toBe(false);
    const proven = applyReport(after, report(after, { seq: 9 }), 10).deployable;
    expect(isOfferable(proven)).toBe(true);
  });

  test("a card that is reset waits for its handles to be clean at a higher fence", () => {
    const before = taken({ scrubMethod: "reset", programmable: false });
    const after = giveBack(before, "layout", 9);
    expect(after.imageGeneration).toBe(before.imageGeneration);
    expect(isOfferable(applyReport(after, report(before), 10).deployable)).toBe(false);
    expect(isOfferable(applyReport(after, report(after, { seq: 9 }), 10).deployable)).toBe(true);
  });

  test("one whose last generation failed gets another", () => {
    const failed = taken({ outcome: { generation: 5, result: "failed" } });
    expect(giveBack(failed, "rebind", 9)).toMatchObject({ imageGeneration: 6 });
  });

  test("a look alone voids nothing", () => {
    expect(isOfferable(giveBack(taken(), "rescan", 9))).toBe(true);
  });

  test("handles that are not there any more keep their fence and wait for nobody", () => {
    const lost = handle({ type: "VF", fence: 7, attachable: false, reason: lostReason });
    const after = giveBack(taken({ handles: { pf: handle(), vf0: lost } }), "layout", 9);
    expect(after.handles["vf0"]).toEqual(lost);
  });

  test("fences and generations never fall, however often (I2)", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...cardKinds), { maxLength: 8 }), (kinds) => {
        let one = shared("any");
        for (const kind of kinds) {
          const next = giveBack(withhold(one, operation.id, 0), kind, 1);
          expect(next.imageGeneration).toBeGreaterThanOrEqual(one.imageGeneration);
          for (const [name, { fence }] of Object.entries(one.handles)) {
            expect(next.handles[name]?.fence).toBeGreaterThanOrEqual(fence);
          }
          one = next;
        }
      }),
    );
  });
});

describe("an operation", () => {
  test("begins and ends once", () => {
    const begun = advance(operation, "begin", { now: 1 });
    expect(begun).toMatchObject({ state: "running", updatedAt: 1 });
    expect(advance(begun ?? operation, "begin", { now: 2 })?.state).toBe("running");
    const error = { code: "IN_USE", message: "held" };
    const failed = advance(begun ?? operation, "fail", { now: 3, error });
    expect(failed).toMatchObject({ state: "failed", error });
    for (const event of ["begin", "succeed", "fail"] as const) {
      expect(advance(failed ?? operation, event, { now: 4 })).toBeUndefined();
    }
    expect(advance(operation, "succeed", { now: 1 })?.state).toBe("succeeded");
  });

  test("past its deadline says whether anybody had begun", () => {
    expect(overdue(operation).code).toBe("HOST_OFFLINE");
    expect(overdue({ ...operation, state: "running" }).code).toBe("CARD_STUCK");
  });

  test("knows the layouts an inventory may name", () => {
    const named: readonly Device["layout"][] = layouts;
    expect(named).toContain(device.layout);
  });
});
