import { describe, expect, it } from "vitest";
import { freeHandles, heldHandles } from "#domain/deployable";
import { claimsOfInstance } from "#store/claims";
import { changeDeployable, deployablesOf } from "#store/deployables";
import { grantClaims } from "#store/granting";
import { changeImage } from "#store/images";
import { quotaKey } from "#store/keys";
import { memoryTable } from "#store/memory-table";
import { listQuotas, openQuota, quotaOf } from "#store/quotas";
import type { Store } from "#store/store";
import type { Table } from "#store/table";
import { crypto, deployable, uuid } from "../domain/builders.ts";
import {
  cards,
  group,
  newStore,
  pf,
  putFleet,
  putHosts,
  putImage,
  refusal,
  request,
  startedAt,
  withHandles,
} from "./support.ts";

const host = uuid(10_000);

async function leftOf(store: Store): Promise<number | undefined> {
  const item = await store.table.get(quotaKey("p1", pf));
  return item && quotaOf(item).left;
}

async function grant(store: Store, ...wanted: Parameters<typeof request>) {
  return await grantClaims(store, request(...wanted), new Map());
}

describe("several handles", () => {
  it("come from one host or not at all", async () => {
    const store = newStore();
    await putFleet(store, cards(6, 2));
    expect(await grant(store, 1, [group(3)])).toBeUndefined();
    expect((await grant(store, 2, [group(2)]))?.claims).toHaveLength(2);
  });

  it("of two groups come with the image of each, in group order", async () => {
    const store = newStore();
    const gps = (index: number) => (index === 0 ? { traits: ["CUSTOM_GPS"] } : {});
    await putFleet(store, cards(3, 3, gps));
    const image = await putImage(store);
    const groups = [group(2), group(1, image, { required: ["CUSTOM_GPS"] })];
    const claims = (await grant(store, 1, groups))?.claims ?? [];
    expect(claims.map((claim) => [claim.group, claim.image])).toEqual([
      [0, undefined],
      [0, undefined],
      [1, image.id],
    ]);
    expect(claims[2]?.deployable).toBe(uuid(1));
    const wished = (await deployablesOf(store, host)).map((one) => one.wish.image?.id);
    expect(wished.filter((id) => id !== undefined)).toEqual([image.id]);
  });

  it("fill a transaction of 100 rows with 32 claims of an instance", async () => {
    const store = newStore();
    await putFleet(store, cards(32, 32));
    const image = await putImage(store);
    const granted = await grant(store, 1, [group(32, image)], { instance: "vm" });
    expect(granted?.claims).toHaveLength(32);
    expect(await claimsOfInstance(store, "vm")).toHaveLength(32);
  });

  it("of more kinds than one transaction holds are refused by name", async () => {
    const store = newStore();
    await putFleet(store, cards(32, 32));
    const image = await putImage(store);
    const other = await putImage(store, { id: uuid(301), sha256: "bb".repeat(32) });
    const both = [group(16, image), group(16, other)];
    expect(await refusal(grant(store, 1, both, { instance: "vm" }))).toBe("INVALID_REQUEST");
    expect((await grant(store, 2, both))?.claims).toHaveLength(32);
  });
});

describe("a request that is made again", () => {
  it("gets the same claims, also when all is taken by now", async () => {
    const store = newStore();
    await putFleet(store, cards(2), 10);
    const first = await grant(store, 1, [group(1)]);
    const second = await grant(store, 1, [group(1)]);
    expect(second).toEqual({ claims: first?.claims, replayed: true });
    expect(await leftOf(store)).toBe(9);
  });

  it("with another body is a mismatch and takes nothing", async () => {
    const store = newStore();
    await putFleet(store, cards(2), 10);
    await grant(store, 1);
    const other = { once: { id: "once-1", body: "another" } };
    expect(await refusal(grant(store, 1, [group()], other))).toBe("IDEMPOTENCY_MISMATCH");
    expect(await leftOf(store)).toBe(9);
  });

  it("at the same moment is granted once", async () => {
    const store = newStore();
    await putFleet(store, cards(8), 10);
    const all = await Promise.all(Array.from({ length: 8 }, () => grant(store, 1, [group(2)])));
    expect(all.filter((one) => one?.replayed === false)).toHaveLength(1);
    expect(new Set(all.map((one) => JSON.stringify(one?.claims))).size).toBe(1);
    expect(await leftOf(store)).toBe(8);
  });

  it("after its answer has expired finds the claims that still exist", async () => {
    const store = newStore();
    await putFleet(store, cards(2), 10);
    const first = await grant(store, 1);
    store.clock.now += 27 * 3_600_000;
    await putHosts(store, [host]);
    expect(await grant(store, 1)).toEqual({ claims: first?.claims, replayed: true });
    expect(await leftOf(store)).toBe(9);
  });
});

describe("what changes between the look and the grant", () => {
  /** Runs `change` once, just before the first write. */
  function before(change: () => Promise<unknown>): { table: Table; inner: Table } {
    const inner = memoryTable();
    let isDone = false;
    const write: Table["write"] = async (writes) => {
      if (!isDone && writes.length > 3) {
        isDone = true;
        await change();
      }
      return await inner.write(writes);
    };
    return { table: { ...inner, write }, inner };
  }

  it("refuses an image that was retired", async () => {
    const { table, inner } = before(
      async () =>
        await changeImage(newStore(inner), crypto.id, (one) => ({ ...one, state: "retired" })),
    );
    const store = newStore(table);
    await putFleet(newStore(inner), cards(1), 5);
    const image = await putImage(store);
    expect(await refusal(grant(store, 1, [group(1, image)]))).toBe("IMAGE_NOT_ACTIVE");
    expect(await leftOf(store)).toBe(5);
    expect(freeHandles((await deployablesOf(store, host))[0] ?? withHandles(0))).toEqual(["pf"]);
  });

  it("passes over a host that went silent", async () => {
    const { table, inner } = before(
      async () => await putHosts(newStore(inner), [host], { state: "offline" }),
    );
    const store = newStore(table);
    await putFleet(newStore(inner), cards(2, 1));
    const granted = await grant(store, 1, [group(1)]);
    const again = await grant(store, 2, [group(1)]);
    expect([granted?.claims[0]?.host, again]).toEqual([uuid(10_001), undefined]);
  });

  it("takes the next candidate when somebody else was faster", async () => {
    const inner = memoryTable();
    const rival = newStore(inner);
    const wrapped = { ...inner };
    let isDone = false;
    const store = newStore({
      ...wrapped,
      write: async (writes) => {
        if (!isDone) {
          isDone = true;
          await grantClaims(rival, request(50, [group(1, undefined, { host })]), new Map());
        }
        return await inner.write(writes);
      },
    });
    await putFleet(rival, [...cards(1), ...cards(2, 1).slice(1)]);
    const granted = await grantClaims(store, request(1), new Map());
    expect(granted?.claims[0]?.deployable).toBe(uuid(2));
  });
});

describe("hosts and conflicts", () => {
  it("never grants on a host that was not heard for more than 120 s", async () => {
    const store = newStore();
    await putFleet(store, cards(2, 1));
    await putHosts(store, [host], { seenAt: startedAt - 120_001 });
    await putHosts(store, [uuid(10_001)], { seenAt: startedAt - 120_000 });
    expect((await grant(store, 1))?.claims[0]?.host).toBe(uuid(10_001));
    expect(await grant(store, 2)).toBeUndefined();
  });

  it("finds the one card of a host that speaks behind more silent ones than a walk returns", async () => {
    const store = newStore();
    const last = "ffffffff-0000-4000-8000-000000000000";
    const fleet = cards(480, 40);
    await putFleet(store, [...fleet, deployable({ id: last, host })]);
    const silent = fleet.map((one) => one.host).filter((one) => one !== host);
    await putHosts(store, silent, { state: "offline" });
    const own = fleet.filter((one) => one.host === host);
    for (const one of own)
      await changeDeployable(store, one, (was) => ({ ...was, enabled: false }));
    expect((await grant(store, 1))?.claims[0]?.deployable).toBe(last);
  });

  /** Answers the first `count` writes with a conflict. */
  function conflicting(count: number): { table: Table; tries: () => number; inner: Table } {
    const inner = memoryTable();
    let tries = 0;
    const write: Table["write"] = async (writes) => {
      tries += 1;
      if (tries > count) return await inner.write(writes);
      return { ok: false, failures: writes.map(() => ({ reason: "conflict" })) };
    };
    return { table: { ...inner, write }, tries: () => tries, inner };
  }

  it("tries again through five conflicts, with a pause between", async () => {
    const { table, tries, inner } = conflicting(5);
    await putFleet(newStore(inner), cards(3));
    const store = newStore(table);
    expect((await grant(store, 1))?.claims).toHaveLength(1);
    expect(tries()).toBe(6);
    expect(store.now()).toBeGreaterThan(startedAt);
  });

  it("asks to come again after six, having taken nothing", async () => {
    const { table, tries, inner } = conflicting(6);
    await putFleet(newStore(inner), cards(3), 5);
    const store = newStore(table);
    expect(await refusal(grant(store, 1))).toBe("TRY_AGAIN");
    expect(tries()).toBe(6);
    expect(await leftOf(store)).toBe(5);
    expect((await deployablesOf(store, host)).flatMap(heldHandles)).toEqual([]);
  });

  it("opens a quota once however many ask first", async () => {
    const store = newStore();
    await Promise.all(
      Array.from({ length: 5 }, () => openQuota(store, { project: "p2", resourceClass: pf }, 4)),
    );
    expect((await listQuotas(store, "p2", {})).items).toMatchObject([{ limit: 4, left: 4 }]);
  });
});
