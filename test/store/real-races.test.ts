import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Claim } from "#domain/claim";
import { heldHandles } from "#domain/deployable";
import { readClaim } from "#store/claims";
import { countingTable } from "#store/counting-table";
import { deployablesOf } from "#store/deployables";
import { dynamoTable } from "#store/dynamo-table";
import { grantClaims } from "#store/granting";
import { quotaKey } from "#store/keys";
import { quotaOf } from "#store/quotas";
import { failBind, releaseClaim } from "#store/release";
import { recordReport } from "#store/reports";
import type { Store } from "#store/store";
import type { Table } from "#store/table";
import { offlineClient, startTable } from "../../localstack/table/start.ts";
import { crypto, loadedWith, report, uuid } from "../domain/builders.ts";
import { cards, group, newStore, putFleet, putImage, request, withHandles } from "./support.ts";

/** Against a real DynamoDB API: every test has a resource class, a project and hosts of its own. */
describe("races on a real table", () => {
  let table: Table;
  let stop: () => Promise<void>;
  beforeAll(async () => {
    const offline = await startTable();
    const client = offlineClient(offline.endpoint);
    table = dynamoTable(client, offline.name);
    stop = async () => {
      client.destroy();
      await offline.stop();
    };
    await putImage(newStore(table));
  });
  afterAll(async () => stop());

  /** Facts and requests that touch nothing of another test. */
  function world(number: number) {
    const resourceClass = `CUSTOM_TEST_${number}`;
    const facts = (index: number) => ({
      resourceClass,
      id: uuid(number * 1000 + index),
      host: uuid(number * 1000 + 900),
    });
    const need = { resourceClasses: [resourceClass] };
    const ask = async (store: Store, caller: number, count = 1) =>
      await grantClaims(
        store,
        request(number * 1000 + caller, [group(count, undefined, need)]),
        new Map(),
      );
    return { resourceClass, facts, need, ask, host: uuid(number * 1000 + 900) };
  }

  async function leftOf(resourceClass: string): Promise<number | undefined> {
    const item = await table.get(quotaKey("p1", resourceClass), { consistent: true });
    return item && quotaOf(item).left;
  }

  /** Comes again while the answer is TRY_AGAIN, as a caller does. */
  async function patiently<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if ((error as { code?: unknown }).code !== "TRY_AGAIN") throw error;
      }
    }
  }

  it("give 8 handles to exactly 8 of 32 callers", async () => {
    const { resourceClass, facts, ask, host } = world(1);
    await putFleet(newStore(table), cards(8, 8, facts), 100);
    const asked = Array.from({ length: 32 }, async (_, caller) => {
      const store = newStore(table);
      return await patiently(async () => await ask(store, caller));
    });
    const won = (await Promise.all(asked)).flatMap((granted) => granted?.claims ?? []);
    expect(won).toHaveLength(8);
    const held = (await deployablesOf(newStore(table), host)).flatMap(heldHandles);
    expect(new Set(held.map(([, one]) => one.holder?.claim))).toEqual(
      new Set(won.map((one) => one.id)),
    );
    expect(held.map(([, one]) => one.fence)).toEqual(Array.from({ length: 8 }, () => 1));
    expect(await leftOf(resourceClass)).toBe(92);
  });

  it("on one card with four handles never give one twice, through grants and releases", async () => {
    const { resourceClass, facts, ask } = world(2);
    const card = withHandles(4, facts(0));
    await putFleet(newStore(table), [card], 100);
    const holders = new Map<string, string>();
    const user = async (caller: number): Promise<number> => {
      const store = newStore(table);
      const granted = await patiently(async () => await ask(store, caller));
      const [claim] = granted?.claims ?? [];
      if (claim === undefined) return 0;
      expect(holders.get(claim.handle ?? "")).toBeUndefined();
      holders.set(claim.handle ?? "", claim.id);
      await patiently(async () => await releaseClaim(store, claim.id));
      return 1;
    };
    const won = await Promise.all(Array.from({ length: 12 }, (_, caller) => user(caller)));
    expect(won.reduce((sum, one) => sum + one, 0)).toBe(4);
    const [after] = await deployablesOf(newStore(table), card.host);
    expect(Object.values(after?.handles ?? {}).map((one) => [one.state, one.fence])).toEqual(
      Array.from({ length: 4 }, () => ["releasing", 2]),
    );
    expect(await leftOf(resourceClass)).toBe(100);
  });

  it("take two sequential round trips when nobody else is there", async () => {
    const { facts, ask } = world(3);
    await putFleet(newStore(table), cards(4, 4, facts));
    const counted = countingTable(table);
    expect((await ask(newStore(counted), 1))?.claims).toHaveLength(1);
    expect(counted.roundTrips().sequential).toBe(2);
  });

  it("grant 32 handles of an instance in one transaction of 100 rows", async () => {
    const { facts, need } = world(4);
    const store = newStore(table);
    await putFleet(store, cards(32, 32, facts));
    const image = await putImage(store, {});
    const wanted = request(4001, [group(32, image, need)], { instance: "vm-4" });
    expect((await grantClaims(store, wanted, new Map()))?.claims).toHaveLength(32);
  });

  it("between report, deadline and release decide a claim once", async () => {
    const { resourceClass, facts, need } = world(5);
    const store = newStore(table);
    await putFleet(store, cards(6, 6, facts), 100);
    const image = await putImage(store, {});
    for (let round = 0; round < 6; round += 1) {
      const wanted = request(5000 + round, [group(1, image, need)]);
      const granted = await grantClaims(store, wanted, new Map());
      const [claim] = granted?.claims ?? [];
      const [one] = granted?.replayed === false ? granted.deployables : [];
      if (claim === undefined || one === undefined) throw new Error("nothing was granted");
      const told = report(one, { loaded: loadedWith(crypto), clean: false });
      const where = { host: one.host, deployable: one.id };
      await Promise.allSettled([
        patiently(async () => await recordReport(newStore(table), { ...where, report: told })),
        patiently(
          async () =>
            await failBind(newStore(table), claim.id, { code: "BIND_DEADLINE", message: "" }),
        ),
        round % 2 === 0
          ? patiently(async () => await releaseClaim(newStore(table), claim.id))
          : undefined,
      ]);
      await checkDecided(claim, round % 2 === 0);
    }
    expect(await leftOf(resourceClass)).toBe(97);
  });

  async function checkDecided(claim: Claim, isReleased: boolean): Promise<void> {
    const store = newStore(table);
    const after = await readClaim(store, claim.id);
    const all = await deployablesOf(store, claim.host ?? "");
    const handle = all.find((one) => one.id === claim.deployable)?.handles[claim.handle ?? ""];
    if (isReleased) expect(after).toBeUndefined();
    else expect(["Bound", "BindFailed"]).toContain(after?.state);
    const isHeld = after?.state === "Bound";
    expect(handle?.holder?.claim).toBe(isHeld ? claim.id : undefined);
    expect(handle?.fence).toBe(isHeld ? 1 : 2);
  }
});
