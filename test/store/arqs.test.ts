import { describe, expect, test } from "vitest";
import { type Asks, type Claim, unboundMs } from "#domain/claim";
import { isFault } from "#domain/faults";
import { createArqs, isProfileUsed, startBinding, unbindArq } from "#store/arqs";
import { tryBind } from "#store/bind";
import { claimsOfInstance, readClaim, waitingClaims } from "#store/claims";
import { readDeployable } from "#store/deployables";
import { dueRows } from "#store/due";
import { quotaKey } from "#store/keys";
import { createProfile } from "#store/named";
import { readOwedEvent } from "#store/outbox";
import { quotaOf } from "#store/quotas";
import { failOverdue, failWaiting, releaseClaim, releaseOverdue } from "#store/release";
import { deployable, uuid } from "../domain/builders.ts";
import { newStore, pf, putFleet, putHosts, putImage, refusal, type TestStore } from "./support.ts";

const host = uuid(10_000);
const asks: Asks = { required: [], forbidden: [] };
const order = { host, hostName: "node-1", provider: uuid(77), instance: uuid(88) };
const deadlineMs = 180_000;

async function withProfile(): Promise<TestStore> {
  const store = newStore();
  const profile = { id: uuid(5), name: "dp1", description: "", groups: [], createdAt: 0 };
  await createProfile(store, profile, []);
  return store;
}

async function create(store: TestStore, count = 1, facts: { readonly defaultQuota?: number } = {}) {
  return await createArqs(store, {
    project: "p1",
    user: "u1",
    profile: "dp1",
    ids: Array.from({ length: count }, (_, index) => uuid(500 + index)),
    wanted: Array.from({ length: count }, (_, group) => ({ group, resourceClass: pf, asks })),
    defaultQuota: 8,
    ...facts,
  });
}

async function leftOf(store: TestStore): Promise<number | undefined> {
  const item = await store.table.get(quotaKey("p1", pf));
  return item && quotaOf(item).left;
}

async function one(store: TestStore): Promise<Claim> {
  const [claim] = await create(store);
  if (claim === undefined) throw new Error("one was made");
  return claim;
}

async function started(store: TestStore): Promise<Claim> {
  const [claim] = await startBinding(store, [{ ...order, claim: await one(store) }], deadlineMs);
  if (claim === undefined) throw new Error("one was started");
  return claim;
}

/** A request whose bind was begun and that got the handle of card 1. */
async function assigned(store: TestStore): Promise<Claim> {
  await putFleet(store, [deployable({ host })]);
  const claim = await started(store);
  const before = await readDeployable(store, host, uuid(1));
  if (before === undefined) throw new Error("it was put");
  const attempt = await tryBind(store, claim, {
    deployable: before,
    handle: "pf",
    image: undefined,
  });
  if (attempt.kind !== "bound to") throw new Error(attempt.kind);
  return attempt.claim;
}

describe("making requests", () => {
  test("takes their quota and marks the profile as used", async () => {
    const store = await withProfile();
    expect(await isProfileUsed(store, "dp1")).toBe(false);
    const claims = await create(store, 3);
    expect(claims.map(({ state, group }) => [state, group])).toEqual([
      ["Initial", 0],
      ["Initial", 1],
      ["Initial", 2],
    ]);
    expect(await leftOf(store)).toBe(5);
    expect(await isProfileUsed(store, "dp1")).toBe(true);
    for (const claim of claims) await releaseClaim(store, claim);
    expect(await leftOf(store)).toBe(8);
    expect(await isProfileUsed(store, "dp1")).toBe(false);
  });

  test("over quota makes none", async () => {
    const store = await withProfile();
    expect(await refusal(create(store, 3, { defaultQuota: 2 }))).toBe("OVER_QUOTA");
    expect(await readClaim(store, uuid(500))).toBeUndefined();
    expect(await leftOf(store)).toBe(2);
  });

  test("is refused for an unknown profile, ids in use and too many", async () => {
    expect(await refusal(create(newStore()))).toBe("UNKNOWN_PROFILE");
    const store = await withProfile();
    await create(store);
    expect(await refusal(create(store))).toBe("CONFLICT");
    expect(await refusal(create(store, 33))).toBe("INVALID_REQUEST");
  });

  test("of which nobody binds one ends after an hour", async () => {
    const store = await withProfile();
    const claim = await one(store);
    expect(await releaseOverdue(store, claim)).toBe(false);
    store.clock.now += unboundMs;
    expect(await releaseOverdue(store, claim)).toBe(true);
    expect(await leftOf(store)).toBe(8);
  });
});

describe("beginning to bind", () => {
  test("names host, provider and instance, and puts the request in line", async () => {
    const store = await withProfile();
    const claim = await started(store);
    expect(claim).toMatchObject({ state: "BindStarted", ...order });
    expect(claim.deadline).toBe(store.now() + deadlineMs);
    expect(await waitingClaims(store, host)).toEqual([claim]);
    expect(await claimsOfInstance(store, order.instance)).toEqual([claim]);
  });

  test("of several begins all or none", async () => {
    const store = await withProfile();
    const [first, second] = await create(store, 2);
    if (first === undefined || second === undefined) throw new Error("two were made");
    await startBinding(store, [{ ...order, claim: second }], deadlineMs);
    const both = [first, second].map((claim) => ({ ...order, claim }));
    try {
      await startBinding(store, both, deadlineMs);
      expect.unreachable();
    } catch (error) {
      if (!isFault(error, "WRONG_STATE")) throw error;
      expect(error.detail).toMatchObject({ claim: second.id, state: "BindStarted" });
    }
    expect((await readClaim(store, first.id))?.state).toBe("Initial");
  });

  test("of one that was deleted says which", async () => {
    const store = await withProfile();
    const claim = await one(store);
    await releaseClaim(store, claim);
    const binding = startBinding(store, [{ ...order, claim }], deadlineMs);
    expect(await refusal(binding)).toBe("UNKNOWN_CLAIM");
  });

  test("may move the request to the instance's project", async () => {
    const store = await withProfile();
    const claim = await one(store);
    const moved = await startBinding(store, [{ ...order, claim, project: "p2" }], deadlineMs);
    expect(moved).toMatchObject([{ project: "p2" }]);
  });
});

describe("getting a handle", () => {
  test("raises its fence, leaves the line and stays BindStarted", async () => {
    const store = await withProfile();
    const claim = await assigned(store);
    expect(claim).toMatchObject({ state: "BindStarted", handle: "pf", fence: 1 });
    expect(await waitingClaims(store, host)).toEqual([]);
    const held = await readDeployable(store, host, uuid(1));
    expect(held?.handles["pf"]?.holder).toMatchObject({ claim: claim.id, binding: true });
  });

  test("needs a host that was heard, the image, and the card as it was read", async () => {
    const store = await withProfile();
    await putFleet(store, [deployable({ host })]);
    const claim = await started(store);
    const card = deployable({ host });
    const image = await putImage(store, { state: "retired" as never });
    const choice = { deployable: card, handle: "pf", image: undefined };
    expect(await tryBind(store, claim, { ...choice, image })).toEqual({ kind: "image not active" });
    const stale = { ...choice, deployable: { ...card, revision: 3 } };
    expect(await tryBind(store, claim, stale)).toEqual({ kind: "lost" });
    await putHosts(store, [host], { seenAt: 0 });
    expect(await tryBind(store, claim, choice)).toEqual({ kind: "host silent" });
    expect(await readClaim(store, claim.id)).toEqual(claim);
  });
});

describe("a bind that ends", () => {
  test("without a handle leaves the line, and Nova is owed the failure", async () => {
    const store = await withProfile();
    const claim = await started(store);
    const failed = await failWaiting(store, claim, { code: "NO_CAPACITY", message: "none" });
    expect(failed).toMatchObject({ state: "BindFailed", reason: { code: "NO_CAPACITY" } });
    expect(await waitingClaims(store, host)).toEqual([]);
    expect(await readOwedEvent(store, claim.id)).toMatchObject({ status: "failed", tries: 0 });
    const rows = [];
    for await (const row of dueRows(store, "SYNC")) rows.push(row["type"]);
    expect(rows).toEqual(["outbox"]);
  });

  test("is not failed for want of a handle once it has one", async () => {
    const store = await withProfile();
    const claim = await assigned(store);
    const same = await failWaiting(store, claim, { code: "NO_CAPACITY", message: "none" });
    expect(same).toEqual(claim);
    expect(await readOwedEvent(store, claim.id)).toBeUndefined();
  });

  test.each([
    ["waiting", started],
    ["with a handle", assigned],
  ])("by its deadline, %s, is told to Nova and keeps its quota", async (_, begin) => {
    const store = await withProfile();
    const claim = await begin(store);
    store.clock.now += deadlineMs;
    const failed = await failOverdue(store, claim);
    expect(failed).toMatchObject({ state: "BindFailed", reason: { code: "BIND_DEADLINE" } });
    expect(await readOwedEvent(store, claim.id)).toMatchObject({
      status: "failed",
      instance: order.instance,
    });
    expect(await waitingClaims(store, host)).toEqual([]);
  });

  test("by its deletion is told to Nova, which may wait for it", async () => {
    const store = await withProfile();
    const claim = await started(store);
    await releaseClaim(store, claim);
    expect(await readOwedEvent(store, claim.id)).toMatchObject({ status: "failed" });
    expect(await waitingClaims(store, host)).toEqual([]);
    expect(await claimsOfInstance(store, order.instance)).toEqual([]);
  });
});

describe("unbinding", () => {
  test("frees the handle, keeps the quota, and the request can be bound again", async () => {
    const store = await withProfile();
    const claim = await assigned(store);
    const left = await leftOf(store);
    const unbound = await unbindArq(store, claim);
    expect(unbound).toMatchObject({ state: "Unbound", profile: "dp1", group: 0 });
    expect(unbound).not.toHaveProperty("handle");
    expect(unbound).not.toHaveProperty("instance");
    expect(await claimsOfInstance(store, order.instance)).toEqual([]);
    const freed = await readDeployable(store, host, uuid(1));
    expect(freed?.handles["pf"]).toMatchObject({ state: "releasing", fence: 2 });
    expect(await leftOf(store)).toBe(left);
    const again = await startBinding(store, [{ ...order, claim: unbound }], deadlineMs);
    expect(again).toMatchObject([{ state: "BindStarted" }]);
  });

  test("is refused twice", async () => {
    const store = await withProfile();
    const unbound = await unbindArq(store, await started(store));
    expect(await refusal(unbindArq(store, unbound))).toBe("WRONG_STATE");
  });
});
