import { describe, expect, it } from "vitest";
import type { Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { grant as grantHandle } from "#domain/transitions";
import { claimsOfInstance, readClaim, replaceClaim } from "#store/claims";
import { changeDeployable, isOwed, readDeployable } from "#store/deployables";
import { grantClaims } from "#store/granting";
import { quotaKey } from "#store/keys";
import { memoryTable } from "#store/memory-table";
import { quotaOf } from "#store/quotas";
import { failBind, releaseClaim } from "#store/release";
import type { Store } from "#store/store";
import type { Table } from "#store/table";
import { uuid } from "../domain/builders.ts";
import {
  cards,
  group,
  newStore,
  pf,
  putFleet,
  putImage,
  refusal,
  request,
  withHandles,
} from "./support.ts";

const reason = { code: "BIND_DEADLINE", message: "too late" };

async function leftOf(store: Store): Promise<number | undefined> {
  const item = await store.table.get(quotaKey("p1", pf));
  return item && quotaOf(item).left;
}

async function claimed(
  store: Store,
  number = 1,
  facts: Parameters<typeof request>[2] = {},
): Promise<Claim> {
  const image = await putImage(store);
  const granted = await grantClaims(store, request(number, [group(1, image)], facts), new Map());
  const [claim] = granted?.claims ?? [];
  if (claim === undefined) throw new Error("nothing was granted");
  return claim;
}

/** A claim without an image. */
async function plain(store: Store, number: number): Promise<Claim> {
  const granted = await grantClaims(store, request(number), new Map());
  const [claim] = granted?.claims ?? [];
  if (claim === undefined) throw new Error("nothing was granted");
  return claim;
}

async function placeOf(store: Store, claim: Claim): Promise<Deployable> {
  const found = await readDeployable(store, claim.host ?? "", claim.deployable ?? "");
  if (found === undefined) throw new Error("the claim has no deployable");
  return found;
}

describe("a release", () => {
  it("ends the claim, its pointer and its hold, and returns the quota once", async () => {
    const store = newStore();
    await putFleet(store, cards(1), 5);
    const claim = await claimed(store, 1, { instance: "vm" });
    const { deployable } = await releaseClaim(store, claim.id);
    expect(await readClaim(store, claim.id)).toBeUndefined();
    expect(await claimsOfInstance(store, "vm")).toEqual([]);
    expect(await leftOf(store)).toBe(5);
    const after = await placeOf(store, claim);
    expect(after).toEqual(deployable);
    expect(after.handles["pf"]).toMatchObject({ state: "releasing", fence: 2 });
    expect(after).toMatchObject({ wish: { scrub: "erase" }, imageGeneration: 7 });
    expect(isOwed(after)).toBe(true);
  });

  it("of a claim that has ended is UNKNOWN_CLAIM and returns nothing more", async () => {
    const store = newStore();
    await putFleet(store, cards(1), 5);
    const { id } = await claimed(store);
    const both = await Promise.allSettled([releaseClaim(store, id), releaseClaim(store, id)]);
    expect(both.map((one) => one.status).toSorted()).toEqual(["fulfilled", "rejected"]);
    expect(await refusal(releaseClaim(store, id))).toBe("UNKNOWN_CLAIM");
    expect(await leftOf(store)).toBe(5);
  });

  it("touches no handle that another claim holds by now", async () => {
    const store = newStore();
    await putFleet(store, cards(1), 5);
    const claim = await claimed(store);
    const taker = { claim: uuid(77), project: "p2", handle: "pf" };
    const taken = await changeDeployable(store, await placeOf(store, claim), (one) =>
      grantHandle(one, [taker], undefined, 0),
    );
    expect((await releaseClaim(store, claim.id)).deployable).toBeUndefined();
    expect(await placeOf(store, claim)).toEqual(taken);
    expect(await leftOf(store)).toBe(5);
  });

  it("frees a handle whose fence was lifted above the claim's", async () => {
    const store = newStore();
    await putFleet(store, cards(1), 5);
    const claim = await claimed(store);
    await changeDeployable(store, await placeOf(store, claim), (one) => ({
      ...one,
      revision: one.revision + 1,
      handles: Object.fromEntries(
        Object.entries(one.handles).map(([name, each]) => [name, { ...each, fence: 9 }]),
      ),
    }));
    await releaseClaim(store, claim.id);
    expect((await placeOf(store, claim)).handles["pf"]).toMatchObject({
      fence: 10,
      state: "releasing",
    });
  });

  it("leaves the neighbours on the card alone, and the last one out erases", async () => {
    const store = newStore();
    await putFleet(store, [withHandles(2)], 5);
    const [one, two] = [await plain(store, 1), await plain(store, 2)];
    await releaseClaim(store, one.id);
    const half = await placeOf(store, two);
    expect(half.wish.scrub).toBeUndefined();
    expect(half.handles[two.handle ?? ""]?.holder?.claim).toBe(two.id);
    await releaseClaim(store, two.id);
    expect((await placeOf(store, two)).wish.scrub).toBe("erase");
  });

  it("writes what the caller adds in the same transaction", async () => {
    const store = newStore();
    await putFleet(store, cards(1));
    const { id } = await claimed(store);
    const key = { pk: "also", sk: "also" };
    await releaseClaim(store, id, ({ claim }) => [{ kind: "put", item: { ...key, of: claim.id } }]);
    expect(await store.table.get(key)).toMatchObject({ of: id });
  });

  it("gives up after 8 lost races, having changed nothing", async () => {
    const inner = memoryTable();
    const store = newStore(inner);
    await putFleet(store, cards(1), 5);
    const claim = await claimed(store);
    let tries = 0;
    const write: Table["write"] = async (writes) => {
      tries += 1;
      return { ok: false, failures: writes.map(() => ({ reason: "conflict" })) };
    };
    const busy = newStore({ ...inner, write });
    expect(await refusal(releaseClaim(busy, claim.id))).toBe("TRY_AGAIN");
    expect(tries).toBe(8);
    expect(await readClaim(store, claim.id)).toEqual(claim);
  });
});

describe("a bind that fails", () => {
  it("says why, names no handle any more, and keeps its quota until it is deleted", async () => {
    const store = newStore();
    await putFleet(store, cards(1), 5);
    const claim = await claimed(store);
    const failed = await failBind(store, claim.id, reason);
    expect(failed).toMatchObject({ state: "BindFailed", reason, deployable: claim.deployable });
    expect([failed.handle, failed.fence, failed.pciAddress, failed.deadline]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect(await readClaim(store, claim.id)).toMatchObject({ state: "BindFailed" });
    expect(await leftOf(store)).toBe(4);
    const after = await placeOf(store, claim);
    expect(after).toMatchObject({ imageGeneration: 7, wish: { scrub: "erase" } });
    expect(after.handles["pf"]).toMatchObject({ state: "releasing", fence: 2 });
    await releaseClaim(store, claim.id);
    expect(await leftOf(store)).toBe(5);
    expect(await placeOf(store, claim)).toEqual(after);
  });

  it("changes nothing when the claim is bound or has failed already", async () => {
    const store = newStore();
    await putFleet(store, cards(1));
    const claim = await claimed(store);
    const bound: Claim = { ...claim, state: "Bound", deadline: undefined };
    await store.table.write([replaceClaim(claim, bound)]);
    const before = await placeOf(store, claim);
    expect(await failBind(store, claim.id, reason)).toMatchObject({ state: "Bound" });
    expect(await placeOf(store, claim)).toEqual(before);
    expect(await readClaim(store, claim.id)).toMatchObject({ state: "Bound" });
  });

  it("of a claim nobody knows is UNKNOWN_CLAIM", async () => {
    expect(await refusal(failBind(newStore(), uuid(5), reason))).toBe("UNKNOWN_CLAIM");
  });

  it("and is released at the same moment ends exactly once", async () => {
    const store = newStore();
    await putFleet(store, cards(1), 5);
    const claim = await claimed(store);
    await Promise.allSettled([failBind(store, claim.id, reason), releaseClaim(store, claim.id)]);
    expect(await readClaim(store, claim.id)).toBeUndefined();
    expect(await leftOf(store)).toBe(5);
    expect((await placeOf(store, claim)).handles["pf"]).toMatchObject({
      fence: 2,
      state: "releasing",
    });
  });
});
