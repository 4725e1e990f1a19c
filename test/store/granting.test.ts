import { describe, expect, it } from "vitest";
import type { Claim } from "#domain/claim";
import { claimsOfInstance, readClaim } from "#store/claims";
import { countingTable } from "#store/counting-table";
import { deployablesOf } from "#store/deployables";
import { grantClaims } from "#store/granting";
import { quotaKey } from "#store/keys";
import { memoryTable } from "#store/memory-table";
import { listQuotas, quotaOf, setQuota } from "#store/quotas";
import type { Store } from "#store/store";
import { crypto, held, loadedWith, uuid } from "../domain/builders.ts";
import {
  cards,
  group,
  newStore,
  pf,
  putFleet,
  putImage,
  request,
  startedAt,
  type TestStore,
  withHandles,
} from "./support.ts";

const host = uuid(10_000);
const isClaimed = (claims: readonly Claim[] | undefined) => claims !== undefined;

async function leftOf(store: Store): Promise<number | undefined> {
  const item = await store.table.get(quotaKey("p1", pf));
  return item && quotaOf(item).left;
}

async function grant(store: Store, ...wanted: Parameters<typeof request>) {
  return await grantClaims(store, request(...wanted), new Map());
}

describe("a grant", () => {
  it("writes claim, handle, quota, pointer and answer at once", async () => {
    const store = newStore();
    await putFleet(store, cards(1), 5);
    const image = await putImage(store);
    const granted = await grant(store, 1, [group(1, image)], {
      instance: "vm-1",
      leaseSeconds: 60,
    });
    const [claim] = granted?.claims ?? [];
    expect(granted?.replayed).toBe(false);
    expect(claim).toEqual({
      id: uuid(1_000_100),
      project: "p1",
      user: "u1",
      state: "BindStarted",
      resourceClass: pf,
      instance: "vm-1",
      host,
      deployable: uuid(1),
      handle: "pf",
      fence: 1,
      pciAddress: "0000:5e:00.0",
      image: image.id,
      profile: undefined,
      group: 0,
      deadline: startedAt + 180_000,
      leaseSeconds: 60,
      leaseUntil: startedAt + 60_000,
      createdAt: startedAt,
      updatedAt: startedAt,
    });
    const [one] = await deployablesOf(store, host);
    expect(one).toMatchObject({ revision: 11, imageGeneration: 6, wish: { image: crypto } });
    expect(one?.handles["pf"]?.holder).toMatchObject({ claim: claim?.id, binding: true });
    expect(await leftOf(store)).toBe(4);
    expect(await claimsOfInstance(store, "vm-1")).toMatchObject([{ id: claim?.id }]);
  });

  it.each([
    ["without an image", async () => [group()]],
    ["with an image", async (store: Store) => [group(1, await putImage(store))]],
    ["on a given host", async () => [group(1, undefined, { host })]],
    ["of several handles", async () => [group(3)]],
    ["of two groups", async (store: Store) => [group(1), group(1, await putImage(store))]],
  ])("%s takes two round trips one after the other", async (_what, groupsFor) => {
    const table = countingTable(memoryTable());
    const store = newStore(table);
    await putFleet(store, cards(8));
    const groups = await groupsFor(store);
    table.reset();
    expect(await grant(store, 1, groups)).toBeDefined();
    expect(table.roundTrips().sequential).toBe(2);
  });

  it("prefers the card that has the image loaded, wherever it is", async () => {
    const store = newStore();
    const loaded = (index: number) => (index === 37 ? { loaded: loadedWith(crypto) } : {});
    await putFleet(store, cards(60, 8, loaded));
    const granted = await grant(store, 1, [group(1, await putImage(store))]);
    expect(granted?.claims[0]?.deployable).toBe(uuid(38));
  });

  it("opens the quota of a project that never used the class", async () => {
    const store = newStore();
    await putFleet(store, cards(1));
    const granted = await grant(store, 1, [group(1, undefined, { project: "new" })], {
      project: "new",
      defaultQuota: 3,
    });
    expect(granted?.claims).toHaveLength(1);
    expect((await listQuotas(store, "new", {})).items).toEqual([
      { project: "new", resourceClass: pf, limit: 3, left: 2 },
    ]);
  });

  it("says that nothing fits when nothing does, and takes nothing", async () => {
    const store = newStore();
    await putFleet(
      store,
      cards(2, 8, () => ({ handles: { pf: held("c0") }, clean: false })),
      5,
    );
    expect(await grant(store, 1)).toBeUndefined();
    expect(await grant(store, 2, [group(1, undefined, { host: uuid(9) })])).toBeUndefined();
    expect(await leftOf(store)).toBe(5);
  });

  it("finds the one card with a rare trait in a pool of 500", async () => {
    const store = newStore();
    const rare = (index: number) => (index === 431 ? { traits: ["CUSTOM_GPS"] } : {});
    await putFleet(store, cards(500, 8, rare));
    const granted = await grant(store, 1, [group(1, undefined, { required: ["CUSTOM_GPS"] })]);
    expect(granted?.claims[0]?.deployable).toBe(uuid(432));
    const again = await grant(store, 2, [group(1, undefined, { required: ["CUSTOM_GPS"] })]);
    expect(again).toBeUndefined();
  });
});

describe("many callers at once", () => {
  async function race(store: Store, callers: number, count = 1) {
    const all = Array.from({ length: callers }, (_, number) =>
      grant(store, number, [group(count)]),
    );
    return (await Promise.all(all)).map((granted) => granted?.claims);
  }

  async function checkWon(store: TestStore, won: readonly (readonly Claim[])[]): Promise<void> {
    const claims = won.flat();
    const places = claims.map((claim) => `${claim.deployable} ${claim.handle}`);
    expect(new Set(places).size).toBe(claims.length);
    for (const claim of claims) {
      const found = (await deployablesOf(store, claim.host ?? "")).find(
        (one) => one.id === claim.deployable,
      );
      expect(found?.handles[claim.handle ?? ""]).toMatchObject({
        fence: claim.fence,
        holder: { claim: claim.id },
      });
      expect(claim.fence).toBe(1);
      expect(await readClaim(store, claim.id)).toMatchObject({ state: "BindStarted" });
    }
  }

  it("get exactly as many handles as there are, each one claim, and the quota is exact", async () => {
    const store = newStore();
    await putFleet(store, cards(8, 4), 100);
    const won = (await race(store, 64)).filter(isClaimed);
    expect(won).toHaveLength(8);
    await checkWon(store, won);
    expect(await leftOf(store)).toBe(92);
  });

  it("get exactly the handles of one card", async () => {
    const store = newStore();
    await putFleet(store, [withHandles(8)], 100);
    const won = (await race(store, 64)).filter(isClaimed);
    expect(won).toHaveLength(8);
    await checkWon(store, won);
    expect(await leftOf(store)).toBe(92);
  });

  it("get all handles they ask for on one host, or none", async () => {
    const store = newStore();
    await putFleet(store, cards(16, 8), 100);
    const won = (await race(store, 9, 6)).filter(isClaimed);
    expect(won).toHaveLength(2);
    for (const claims of won) {
      expect(claims).toHaveLength(6);
      expect(new Set(claims.map((claim) => claim.host)).size).toBe(1);
    }
    await checkWon(store, won);
    expect(await leftOf(store)).toBe(88);
  });

  it("never get more than their quota, and OVER_QUOTA beyond it", async () => {
    const store = newStore();
    await putFleet(store, cards(20), 5);
    const all = Array.from({ length: 12 }, async (_, number) => {
      const wanted = request(number);
      return await grantClaims(store, wanted, new Map()).catch((error: unknown) => error);
    });
    const answers = await Promise.all(all);
    expect(answers.filter((one) => one instanceof Error)).toHaveLength(7);
    for (const one of answers.filter((each) => each instanceof Error)) {
      expect(one).toMatchObject({ code: "OVER_QUOTA", detail: { field: "count" } });
    }
    expect(await leftOf(store)).toBe(0);
  });

  it("leave an exact quota when its limit changes meanwhile", async () => {
    const store = newStore();
    await putFleet(store, cards(40), 30);
    const limits = [25, 60, 40].map((limit) =>
      setQuota(store, { project: "p1", resourceClass: pf, limit }),
    );
    const won = (await race(store, 20)).filter(isClaimed);
    await Promise.all(limits);
    const item = await store.table.get(quotaKey("p1", pf));
    const quota = item && quotaOf(item);
    expect(quota && quota.limit - quota.left).toBe(won.length);
    expect([25, 60, 40]).toContain(quota?.limit);
  });
});

describe("a grant that must program", () => {
  const loaded = (letter: string) => ({ ...loadedWith(crypto), sha256: letter, imageId: letter });
  const lostImage = async (facts: Parameters<typeof request>[2]) => {
    const store = newStore();
    await putFleet(
      store,
      cards(3, 8, (index) => ({ loaded: loaded("abc".charAt(index)) })),
    );
    const image = await putImage(store);
    const granted = await grant(store, 1, [group(1, image)], facts);
    const [one] = await deployablesOf(store, host).then((all) =>
      all.filter(({ id }) => id === granted?.claims[0]?.deployable),
    );
    return one?.loaded.imageId;
  };

  it.each(["a", "b", "c"])("takes the card with %s when that is asked for least", async (rare) => {
    const demand = new Map(["a", "b", "c"].map((id) => [id, id === rare ? 1 : 20]));
    expect(await lostImage({ demand })).toBe(rare);
    expect([...demand.values()].reduce((sum, each) => sum + each, 0)).toBe(42);
  });

  it("remembers no image of a request that is replayed or refused", async () => {
    const store = newStore();
    await putFleet(store, cards(1));
    const image = await putImage(store);
    const demand = new Map<string, number>();
    await grant(store, 1, [group(1, image)], { demand });
    await grant(store, 1, [group(1, image)], { demand });
    await grant(store, 2, [group(1, image)], { demand });
    expect([...demand]).toEqual([[image.id, 1]]);
  });
});
