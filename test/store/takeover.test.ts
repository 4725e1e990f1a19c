import { expect, test } from "vitest";
import type { Claim } from "#domain/claim";
import { createArqs, startBinding } from "#store/arqs";
import { tryBind } from "#store/bind";
import { readClaim, replaceClaim } from "#store/claims";
import { readDeployable } from "#store/deployables";
import { owedRows } from "#store/due";
import { grantClaims } from "#store/granting";
import { beatRow, readBeat } from "#store/hosts";
import { createProfile } from "#store/named";
import { readOwedEvent } from "#store/outbox";
import { takeOver } from "#store/takeover";
import { deployable, uuid } from "../domain/builders.ts";
import { newStore, pf, putFleet, refusal, request, type TestStore } from "./support.ts";

const host = uuid(10_000);
const order = { handle: "pf", message: "taken over by an operator", also: [] };

async function card(store: TestStore) {
  const found = await readDeployable(store, host, uuid(1));
  if (found === undefined) throw new Error("it was put");
  return found;
}

/** A card whose handle a claim holds, on a host that nobody hears any more. */
async function silent(store: TestStore): Promise<void> {
  const beat = await readBeat(store, host);
  await store.table.write([{ kind: "put", item: beatRow({ ...beat, state: "offline" }) }]);
}

async function granted(store: TestStore): Promise<Claim> {
  await putFleet(store, [deployable({ host })]);
  const [claim] = (await grantClaims(store, request(1), new Map()))?.claims ?? [];
  if (claim === undefined) throw new Error("one was granted");
  return claim;
}

/** An accelerator request that Nova waits for, its handle given and not bound yet. */
async function awaited(store: TestStore): Promise<Claim> {
  const profile = { id: uuid(5), name: "dp1", description: "", groups: [], createdAt: 0 };
  await createProfile(store, profile, []);
  await putFleet(store, [deployable({ host })]);
  const made = await createArqs(store, {
    project: "p1",
    user: "u1",
    profile: "dp1",
    ids: [uuid(500)],
    wanted: [{ group: 0, resourceClass: pf, asks: { required: [], forbidden: [] } }],
    defaultQuota: 8,
  });
  const bind = { host, hostName: "node-1", provider: uuid(77), instance: uuid(88) };
  const orders = made.map((claim) => ({ ...bind, claim }));
  const [started] = await startBinding(store, orders, 180_000);
  if (started === undefined) throw new Error("one was started");
  const attempt = await tryBind(store, started, {
    deployable: await card(store),
    handle: "pf",
    image: undefined,
  });
  if (attempt.kind !== "bound to") throw new Error(attempt.kind);
  return attempt.claim;
}

test("the claim says who took its handle, and the handle is to be cleaned", async () => {
  const store = newStore();
  const claim = await granted(store);
  await silent(store);
  const after = await takeOver(store, await card(store), order);
  expect(after.handles["pf"]).toMatchObject({ fence: (claim.fence ?? 0) + 1 });
  expect(after.handles["pf"]?.holder).toBeUndefined();
  expect(await readClaim(store, claim.id)).toMatchObject({
    state: "BindFailed",
    reason: { code: "HOST_OFFLINE", message: order.message },
  });
});

test("who waits for the bind of a handle that is taken over is told that it failed", async () => {
  const store = newStore();
  const claim = await awaited(store);
  await silent(store);
  await takeOver(store, await card(store), order);
  expect(await readOwedEvent(store, claim.id)).toMatchObject({ status: "failed", tries: 0 });
});

test("nobody is told of a bind that was told before", async () => {
  const store = newStore();
  const claim = await awaited(store);
  await store.table.write([replaceClaim(claim, { ...claim, state: "Bound" })]);
  await silent(store);
  await takeOver(store, await card(store), order);
  expect(await readOwedEvent(store, claim.id)).toBeUndefined();
});

test("what Placement was given for the claim is owed back", async () => {
  const store = newStore();
  const claim = await granted(store);
  const allocated: Claim = { ...claim, allocation: "done" };
  await store.table.write([replaceClaim(claim, allocated)]);
  await silent(store);
  await takeOver(store, await card(store), order);
  const owed: unknown[] = [];
  for await (const row of owedRows(store, "SYNC")) owed.push(row["type"]);
  expect(owed).toEqual(["allocation"]);
});

test("a host that is heard keeps its handles, and a free handle is nobody's to lose", async () => {
  const store = newStore();
  await granted(store);
  expect(await refusal(takeOver(store, await card(store), order))).toBe("WRONG_STATE");
  await silent(store);
  const other = { ...order, handle: "vf9" };
  expect(await refusal(takeOver(store, await card(store), other))).toBe("WRONG_STATE");
});

test("a handle that changed hands since it was looked at is refused", async () => {
  const store = newStore();
  await granted(store);
  await silent(store);
  const before = await card(store);
  await takeOver(store, before, order);
  expect(await refusal(takeOver(store, before, order))).toBe("CONFLICT");
});
