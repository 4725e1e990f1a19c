import { describe, expect, it } from "vitest";
import type { Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import type { Report } from "#domain/report";
import { readClaim, replaceClaim } from "#store/claims";
import { readDeployable } from "#store/deployables";
import { grantClaims } from "#store/granting";
import { memoryTable } from "#store/memory-table";
import {
  chainHead,
  listProgress,
  listReceipts,
  readProgress,
  type StoredReceipt,
} from "#store/receipts";
import { failBind, releaseClaim } from "#store/release";
import { recordReport } from "#store/reports";
import type { Store } from "#store/store";
import { boot, crypto, loadedWith, report, uuid } from "../domain/builders.ts";
import { cards, group, newStore, putFleet, putImage, refusal, request } from "./support.ts";

const error = { code: "PROGRAM_FAILED", message: "the card said no" };
const [card] = cards(1);
const where = { host: card?.host ?? "", deployable: card?.id ?? "" };

async function current(store: Store): Promise<Deployable> {
  const one = await readDeployable(store, where.host, where.deployable);
  if (one === undefined) throw new Error("no deployable");
  return one;
}

/** A card on which one claim waits for its image. */
async function binding(store: Store): Promise<Claim> {
  await putFleet(store, cards(1));
  const image = await putImage(store);
  const granted = await grantClaims(store, request(1, [group(1, image)]), new Map());
  const [claim] = granted?.claims ?? [];
  if (claim === undefined) throw new Error("nothing was granted");
  return claim;
}

async function tell(store: Store, facts: Partial<Report> = {}, receipt?: StoredReceipt) {
  const told = report(await current(store), { clean: false, ...facts });
  return await recordReport(store, { ...where, report: told, percent: 40, receipt });
}

const done = { loaded: loadedWith(crypto) };

function receipt(number: number, previous: string): StoredReceipt {
  const body = {
    deployable: where.deployable,
    number,
    previous,
    kind: "program" as const,
    imageGeneration: 6,
    functionId: crypto.functionId,
    fences: { pf: 1 },
    bootId: boot,
    at: 0,
  };
  return { body, signature: "s", digest: `digest-${number}` };
}

describe("a report", () => {
  it("binds the claim it proves, in one transaction with the row", async () => {
    const store = newStore();
    const claim = await binding(store);
    await tell(store, done);
    const bound = await readClaim(store, claim.id);
    expect([bound?.state, bound?.deadline]).toEqual(["Bound", undefined]);
    expect((await current(store)).handles["pf"]?.holder?.binding).toBe(false);
  });

  it("fails the claim it disproves and takes the handle back", async () => {
    const store = newStore();
    const claim = await binding(store);
    await tell(store, { phase: "failed", error });
    expect(await readClaim(store, claim.id)).toMatchObject({ state: "BindFailed", reason: error });
    expect((await current(store)).handles["pf"]).toMatchObject({ fence: 2, state: "releasing" });
  });

  it("that comes after the deadline changes nothing of the claim", async () => {
    const store = newStore();
    const claim = await binding(store);
    const late = report(await current(store), { ...done, clean: true });
    await failBind(store, claim.id, { code: "BIND_DEADLINE", message: "late" });
    const failed = await readClaim(store, claim.id);
    await recordReport(store, { ...where, report: late });
    expect(await readClaim(store, claim.id)).toEqual(failed);
    expect((await current(store)).handles["pf"]).toMatchObject({ fence: 2, state: "releasing" });
  });

  it("that arrives after the deadline and before any sweep binds nothing", async () => {
    const store = newStore();
    const claim = await binding(store);
    const late = report(await current(store), { ...done, clean: true });
    store.clock.now = (claim.deadline ?? 0) + 1;
    await recordReport(store, { ...where, report: late });
    expect(await readClaim(store, claim.id)).toMatchObject({
      state: "BindFailed",
      reason: { code: "BIND_DEADLINE" },
    });
    expect((await current(store)).handles["pf"]).toMatchObject({ fence: 2, state: "releasing" });
  });

  it("and a release at the same moment leave no claim and no hold", async () => {
    const store = newStore();
    const claim = await binding(store);
    await Promise.all([tell(store, done), releaseClaim(store, claim.id)]);
    expect(await readClaim(store, claim.id)).toBeUndefined();
    expect((await current(store)).handles["pf"]?.holder).toBeUndefined();
  });

  it("does not bind a claim row under another fence", async () => {
    const store = newStore();
    const claim = await binding(store);
    const other = { ...claim, fence: 9 };
    await store.table.write([replaceClaim(claim, other)]);
    await tell(store, done);
    expect(await readClaim(store, claim.id)).toEqual(other);
  });

  it("that changes no fact is still remembered as heard", async () => {
    const store = newStore();
    await putFleet(store, cards(1));
    const before = await current(store);
    await tell(store, { clean: true, seq: 20 });
    const after = await current(store);
    expect(after).toEqual({ ...before, reported: { epoch: 3, seq: 20 } });
    await tell(store, { clean: true, seq: 19, health: { state: "degraded" } });
    expect(await current(store)).toEqual(after);
  });

  it("delivered many times at once is applied once", async () => {
    const store = newStore();
    const claim = await binding(store);
    const told = report(await current(store), { ...done, clean: false });
    const { revision } = await current(store);
    await Promise.all(
      [1, 2, 3, 4].map(async () => await recordReport(store, { ...where, report: told })),
    );
    expect((await current(store)).revision).toBe(revision + 1);
    expect(await readClaim(store, claim.id)).toMatchObject({ state: "Bound" });
  });

  it("of a deployable that nobody knows is UNKNOWN_DEPLOYABLE", async () => {
    const store = newStore();
    await putFleet(store, cards(1));
    const told = report(await current(store));
    const unknown = { host: where.host, deployable: uuid(77), report: told };
    expect(await refusal(recordReport(store, unknown))).toBe("UNKNOWN_DEPLOYABLE");
  });

  it("is TRY_AGAIN after eight lost races", async () => {
    const inner = memoryTable();
    await putFleet(newStore(inner), cards(1));
    let tries = 0;
    const store = newStore({
      ...inner,
      write: async (writes) => {
        tries += 1;
        return { ok: false, failures: writes.map(() => ({ reason: "conflict" })) };
      },
    });
    expect(await refusal(tell(store))).toBe("TRY_AGAIN");
    expect(tries).toBe(8);
  });
});

describe("the progress of a generation", () => {
  it("runs, ends with its report, and is not set back by an older one", async () => {
    const store = newStore();
    const { id } = await binding(store);
    await tell(store, { phase: "programming", seq: 20 });
    expect(await readProgress(store, where.deployable, 6)).toMatchObject({
      generation: 6,
      kind: "program",
      image: crypto.id,
      claim: id,
      project: "p1",
      phase: "programming",
      percent: 40,
      state: "running",
    });
    await tell(store, { phase: "fetching", seq: 19 });
    expect(await readProgress(store, where.deployable, 6)).toMatchObject({ phase: "programming" });
    await tell(store, { ...done, seq: 21 });
    const ended = await readProgress(store, where.deployable, 6);
    expect(ended).toMatchObject({ state: "succeeded", percent: 100 });
    await tell(store, { ...done, phase: "idle", seq: 22 });
    expect(await readProgress(store, where.deployable, 6)).toEqual(ended);
    expect((await listProgress(store, where.deployable, {})).items).toEqual([ended]);
  });

  it("says how it failed", async () => {
    const store = newStore();
    await binding(store);
    await tell(store, { phase: "failed", error });
    expect(await readProgress(store, where.deployable, 6)).toMatchObject({
      state: "failed",
      error,
    });
  });
});

describe("the chain of receipts", () => {
  const start = "0".repeat(64);

  it("grows by one, takes an echo, and comes newest first", async () => {
    const store = newStore();
    await binding(store);
    await tell(store, { phase: "reading-back" }, receipt(1, start));
    await tell(store, done, receipt(2, "digest-1"));
    await tell(store, done, receipt(1, start));
    expect((await chainHead(store, where.deployable))?.body.number).toBe(2);
    const { items } = await listReceipts(store, where.deployable, { limit: 5 });
    expect(items.map((one) => one.body.number)).toEqual([2, 1]);
  });

  it("keeps the receipt of a report that is old news", async () => {
    const store = newStore();
    await binding(store);
    await tell(store, { ...done, seq: 1 }, receipt(1, start));
    expect((await chainHead(store, where.deployable))?.body.number).toBe(1);
    expect((await current(store)).outcome.generation).toBe(5);
  });

  it.each([
    ["leaves a gap", 2, start],
    ["names another one before it", 1, "digest-9"],
  ])("refuses one that %s, but hears what the report says", async (_why, number, previous) => {
    const store = newStore();
    const claim = await binding(store);
    expect(await refusal(tell(store, done, receipt(number, previous)))).toBe("CONFLICT");
    expect(await chainHead(store, where.deployable)).toBeUndefined();
    expect(await readClaim(store, claim.id)).toMatchObject({ state: "Bound" });
  });
});
