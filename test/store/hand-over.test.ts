import { expect, test } from "vitest";
import type { Claim } from "#domain/claim";
import { addClaim, claimsOfInstance, readClaim } from "#store/claims";
import { handOver } from "#store/hand-over";
import { quotaKey } from "#store/keys";
import { openQuota, quotaOf, setQuota } from "#store/quotas";
import { uuid } from "../domain/builders.ts";
import { newStore, pf, refusal, type TestStore } from "./support.ts";

const claim: Claim = {
  id: uuid(1),
  project: "p1",
  user: "u1",
  state: "Initial",
  resourceClass: pf,
  createdAt: 1,
  updatedAt: 1,
};
const to = { project: "p2", defaultQuota: 8 };

async function withClaim(): Promise<TestStore> {
  const store = newStore();
  await store.table.write(addClaim(claim));
  await openQuota(store, { project: "p1", resourceClass: pf }, 7);
  return store;
}

async function left(store: TestStore, project: string): Promise<number | undefined> {
  const item = await store.table.get(quotaKey(project, pf));
  return item && quotaOf(item).left;
}

test("a claim that is handed over takes its quota with it", async () => {
  const store = await withClaim();
  const given = await handOver(store, claim, to);
  expect(given).toMatchObject({ project: "p2", state: "Initial" });
  expect(await readClaim(store, claim.id)).toEqual(given);
  expect([await left(store, "p1"), await left(store, "p2")]).toEqual([8, 7]);
  expect(await claimsOfInstance(store, uuid(88))).toEqual([]);
});

test("one that is handed to its own project stays as it is", async () => {
  const store = await withClaim();
  expect(await handOver(store, claim, { ...to, project: "p1" })).toBe(claim);
  expect(await left(store, "p1")).toBe(7);
});

test("a project without quota is given none", async () => {
  const store = await withClaim();
  await setQuota(store, { project: "p2", resourceClass: pf, limit: 0 });
  expect(await refusal(handOver(store, claim, to))).toBe("OVER_QUOTA");
  expect(await readClaim(store, claim.id)).toEqual(claim);
  expect([await left(store, "p1"), await left(store, "p2")]).toEqual([7, 0]);
});

test("a claim that changed since it was read is not handed over", async () => {
  const store = await withClaim();
  expect(await refusal(handOver(store, { ...claim, updatedAt: 0 }, to))).toBe("CONFLICT");
  expect(await left(store, "p1")).toBe(7);
});

test("a table that goes on being busy is not waited for without end", async () => {
  const store = await withClaim();
  const busy = { ...store.table, write: async () => ({ ok: false, failures: [] }) as const };
  expect(await refusal(handOver({ ...store, table: busy }, claim, to))).toBe("TRY_AGAIN");
});
