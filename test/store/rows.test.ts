import { describe, expect, it } from "vitest";
import type { Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import {
  addClaim,
  claimRow,
  listAllClaims,
  listClaims,
  nextObligation,
  readClaim,
  replaceClaim,
  visibleClaim,
} from "#store/claims";
import {
  changeDeployable,
  deployableRow,
  findDeployable,
  isOwed,
  listDeployables,
  readDeployable,
  replaceDeployable,
  repushMs,
} from "#store/deployables";
import { dueRows } from "#store/due";
import { beatRow } from "#store/hosts";
import { deployableKey, due, dueUntil, shardOf, watched } from "#store/keys";
import { memoryTable } from "#store/memory-table";
import type { Item, Key } from "#store/table";
import { deployable, handle, held, uuid } from "../domain/builders.ts";
import { cards, newStore, putFleet, refusal, startedAt } from "./support.ts";

const claim: Claim = {
  id: uuid(50),
  project: "p1",
  user: "u1",
  state: "BindStarted",
  resourceClass: "FPGA",
  fence: 3,
  deadline: startedAt + 180_000,
  createdAt: startedAt,
  updatedAt: startedAt,
};

describe("the row of a deployable", () => {
  it("is in the free pool by class, region, image and id exactly while it is offerable", () => {
    const one = deployable({ loaded: { functionId: "f", imageId: "i" } });
    expect(deployableRow(one)).toMatchObject({
      gsi1pk: `FREE#CUSTOM_FPGA_INTEL_PF#${shardOf(one.id, 4)}`,
      gsi1sk: `region-a#i#${one.id}`,
    });
    for (const facts of [{ enabled: false }, { clean: false }, { hostOnline: false }]) {
      expect(deployableRow(deployable(facts))).not.toHaveProperty("gsi1pk");
    }
  });

  it.each<[string, Partial<Deployable>, boolean]>([
    ["nothing", {}, false],
    ["a generation", { imageGeneration: 6 }, true],
    ["a clean-up", { handles: { pf: handle({ state: "releasing" }) } }, true],
    ["a plug", { handles: { pf: held("c", { plugged: true }) } }, true],
    [
      "a bind",
      { handles: { pf: held("c", { holder: { claim: "c", project: "p", binding: true } }) } },
      true,
    ],
    ["nothing of a claim that is bound", { handles: { pf: held("c") } }, false],
    ["nothing while its host is silent", { imageGeneration: 6, hostOnline: false }, false],
    [
      "nothing for a handle that Nova's hypervisor plugged by itself",
      { handles: { pf: held(claim.id, { state: "plugged" }) } },
      false,
    ],
    [
      "an unplug of a handle that it plugged itself",
      { handles: { pf: held(claim.id, { state: "plugged", target: { hypervisor: "qemu" } }) } },
      true,
    ],
    ["nothing while it is gone", { imageGeneration: 6, present: false }, false],
  ])("is on the work list while the agent owes %s", (_what, facts, expected) => {
    const one = deployable({ ...facts, updatedAt: startedAt });
    expect(isOwed(one)).toBe(expected);
    const row = deployableRow(one);
    if (expected) expect(row).toMatchObject(due(startedAt + repushMs, "deployable", one.id));
    else expect(row).not.toHaveProperty("gsi3pk");
  });
});

describe("a change of a deployable", () => {
  it("is lost to nobody", async () => {
    const store = newStore();
    await putFleet(store, [deployable({ revision: 0 })]);
    const one = deployable();
    const raise = (was: Deployable) => ({ ...was, revision: was.revision + 1 });
    await Promise.all([1, 2, 3, 4].map(async () => await changeDeployable(store, one, raise)));
    expect((await readDeployable(store, one.host, one.id))?.revision).toBe(4);
  });

  it("does not forget a report that was heard since the row was read", async () => {
    const store = newStore();
    const one = deployable();
    await putFleet(store, [one]);
    const heard = { ...one, reported: { epoch: 3, seq: 8 } };
    expect((await store.table.write([replaceDeployable(one, heard)])).ok).toBe(true);
    expect((await store.table.write([replaceDeployable(one, { ...one, revision: 11 })])).ok).toBe(
      false,
    );
  });

  it("of an unknown one is UNKNOWN_DEPLOYABLE, and TRY_AGAIN after six lost races", async () => {
    const inner = memoryTable();
    const one = deployable();
    await putFleet(newStore(inner), [one]);
    expect(
      await refusal(changeDeployable(newStore(inner), { host: "h", id: "d" }, (was) => was)),
    ).toBe("UNKNOWN_DEPLOYABLE");
    let tries = 0;
    const store = newStore({
      ...inner,
      write: async (writes) => {
        tries += 1;
        return { ok: false, failures: writes.map(() => ({ reason: "conflict" })) };
      },
    });
    expect(await refusal(changeDeployable(store, one, (was) => ({ ...was })))).toBe("TRY_AGAIN");
    expect(tries).toBe(6);
    expect(await changeDeployable(store, one, (was) => was)).toEqual(
      await readDeployable(store, one.host, one.id),
    );
  });
});

describe("lists over shards", () => {
  it("give every row once, page by page, in any page size", async () => {
    const store = newStore();
    await putFleet(store, cards(23));
    for (const limit of [1, 5, 23, 50]) {
      const seen: string[] = [];
      let after: string | undefined;
      do {
        const page = await listDeployables(store, () => true, { limit, after });
        expect(page.items.length).toBeLessThanOrEqual(limit);
        seen.push(...page.items.map((one) => one.id));
        after = page.next;
      } while (after !== undefined);
      expect(new Set(seen).size).toBe(23);
      expect(seen).toHaveLength(23);
    }
  });

  it("pass over what is not wanted and end", async () => {
    const store = newStore();
    await putFleet(store, cards(60));
    const [wanted] = cards(60).slice(41);
    const found: string[] = [];
    let after: string | undefined;
    do {
      const page = await listDeployables(store, (one) => one.id === wanted?.id, {
        limit: 2,
        after,
      });
      found.push(...page.items.map((one) => one.id));
      after = page.next;
    } while (after !== undefined);
    expect(found).toEqual([wanted?.id]);
  });

  const token = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  it.each([
    "",
    "rubbish",
    "%%%",
    token(null),
    token({}),
    token([]),
    token([4, null]),
    token([-1, null]),
    token([0.5, null]),
    token(["0", null]),
    token([0, 7]),
    token([0, "not a page of the table"]),
  ])("refuse the tampered token %j by name", async (after) => {
    const store = newStore();
    await putFleet(store, cards(3));
    const list = listDeployables(store, () => true, { after });
    await expect(list).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      detail: { field: "after" },
    });
  });

  it("refuse the token of another list", async () => {
    const store = newStore();
    await putFleet(store, cards(9));
    const { next } = await listDeployables(store, () => true, { limit: 1 });
    expect(next).toBeDefined();
    expect(await refusal(listAllClaims(store, { after: next }))).toBe("INVALID_REQUEST");
  });

  it("find one deployable by its id alone", async () => {
    const store = newStore();
    await putFleet(store, cards(9));
    expect((await findDeployable(store, uuid(7))).id).toBe(uuid(7));
    expect(await refusal(findDeployable(store, uuid(70)))).toBe("UNKNOWN_DEPLOYABLE");
  });
});

describe("a claim", () => {
  it("is seen by its project and by admins only", async () => {
    const store = newStore();
    await store.table.write(addClaim(claim));
    expect(await visibleClaim(store, claim.id, { project: "p1", isAdmin: false })).toEqual(claim);
    expect(await visibleClaim(store, claim.id, { project: "p2", isAdmin: true })).toEqual(claim);
    const stranger = { project: "p2", isAdmin: false };
    expect(await refusal(visibleClaim(store, claim.id, stranger))).toBe("UNKNOWN_CLAIM");
    expect(await refusal(visibleClaim(store, uuid(9), stranger))).toBe("UNKNOWN_CLAIM");
  });

  it("is listed by project, oldest first, and for admins with all others", async () => {
    const store = newStore();
    const of = (number: number, project: string) => ({
      ...claim,
      id: uuid(number),
      project,
      createdAt: startedAt - number,
    });
    for (const one of [of(1, "p1"), of(2, "p1"), of(3, "p2")])
      await store.table.write(addClaim(one));
    expect((await listClaims(store, "p1", {})).items.map((one) => one.id)).toEqual([
      uuid(2),
      uuid(1),
    ]);
    expect((await listAllClaims(store, {})).items).toHaveLength(3);
  });

  it("is replaced only in the state, under the fence and at the time it was read", async () => {
    const store = newStore();
    await store.table.write(addClaim(claim));
    const bound: Claim = { ...claim, state: "Bound", updatedAt: startedAt + 1 };
    for (const read of [
      { ...claim, fence: 2 },
      { ...claim, fence: undefined },
      { ...claim, updatedAt: 0 },
    ]) {
      expect((await store.table.write([replaceClaim(read, bound)])).ok).toBe(false);
    }
    expect((await store.table.write([replaceClaim(claim, bound)])).ok).toBe(true);
    expect((await store.table.write([replaceClaim(claim, bound)])).ok).toBe(false);
    expect(await readClaim(store, claim.id)).toEqual(bound);
  });

  it.each<[Partial<Claim>, number | undefined]>([
    [{ handle: "pf" }, claim.deadline],
    [{}, startedAt + 30_000],
    [{ state: "Initial" }, claim.deadline],
    [{ state: "Unbound" }, claim.deadline],
    [{ state: "Bound" }, undefined],
    [{ handle: "pf", leaseUntil: startedAt + 60_000 }, startedAt + 60_000],
    [{ state: "Bound", leaseUntil: startedAt + 999_000 }, startedAt + 999_000],
    [{ state: "BindFailed", deadline: undefined }, undefined],
  ])("that is %j is looked at again at %j", (facts, at) => {
    const one = { ...claim, ...facts };
    expect(nextObligation(one)).toBe(at);
    const { gsi3sk } = claimRow(one);
    expect(gsi3sk).toBe(at === undefined ? undefined : due(at, "claim", one.id).gsi3sk);
  });
});

describe("the work list", () => {
  async function collect(store: Parameters<typeof dueRows>[0]): Promise<Item[]> {
    const rows: Item[] = [];
    for await (const row of dueRows(store)) rows.push(row);
    return rows;
  }

  it("gives every row that is due, over pages and shards, and none that is not", async () => {
    const store = newStore();
    const owed = cards(450, 8, (index) => ({
      imageGeneration: 6,
      updatedAt: startedAt - (index % 2),
    }));
    await putFleet(store, owed);
    store.clock.now = startedAt + repushMs - 1;
    expect(await collect(store)).toHaveLength(225);
    store.clock.now += 1;
    expect(await collect(store)).toHaveLength(450);
  });

  it("gives rows as they are, and none that is gone or was owed at another time", async () => {
    const [gone, later, same] = cards(3, 1, () => ({ imageGeneration: 6, updatedAt: startedAt }));
    if (gone === undefined || later === undefined || same === undefined) throw new Error("three");
    const inner = newStore();
    await putFleet(inner, [gone, later, same]);
    inner.clock.now = startedAt + repushMs;
    const lagging = {
      ...inner,
      table: {
        ...inner.table,
        getMany: async (keys: readonly Key[]) => {
          const moved = deployableRow({ ...later, updatedAt: startedAt + 60_000 });
          await inner.table.write([
            { kind: "delete", key: deployableKey(gone.host, gone.id) },
            { kind: "put", item: moved },
            { kind: "put", item: deployableRow({ ...same, revision: 77 }) },
          ]);
          return await inner.table.getMany(keys);
        },
      },
    };
    const rows = (await collect(lagging)).map((row) => [row["sk"], row["revision"]]);
    expect(rows).toEqual([[`DPL#${same.id}`, 77]]);
  });

  it("leaves a deployable in its place while reports follow each other within 10 s", () => {
    const [one] = cards(1, 1, () => ({ imageGeneration: 6 }));
    if (one === undefined) throw new Error("one");
    const at = (updatedAt: number) => deployableRow({ ...one, updatedAt })["gsi3sk"] as string;
    expect(at(startedAt)).toBe(due(startedAt + repushMs, "deployable", one.id).gsi3sk);
    expect(at(startedAt + 9_999)).toBe(at(startedAt));
    expect(at(startedAt + 10_000) > at(startedAt)).toBe(true);
    expect(at(startedAt + 9_999) <= dueUntil(startedAt + 9_999 + repushMs)).toBe(true);
  });

  it("watches the heartbeat of a host whenever it was heard, until it is offline and withdrawn", () => {
    const beat = { host: uuid(1), state: "online" as const, epoch: 1, seenAt: startedAt };
    const { gsi3pk, gsi3sk } = watched(uuid(1));
    expect(beatRow(beat)).toMatchObject({ gsi3pk, gsi3sk });
    expect(beatRow({ ...beat, seenAt: startedAt + 30_000 })).toMatchObject({ gsi3pk, gsi3sk });
    const silent = { ...beat, state: "offline" as const };
    expect(beatRow({ ...silent, withdrawing: true })).toMatchObject({ gsi3pk, gsi3sk });
    expect(beatRow(silent)).not.toHaveProperty("gsi3pk");
  });

  it("spreads ids over all shards", () => {
    const shards = cards(64).map((one) => shardOf(one.id, 4));
    expect(new Set(shards).size).toBe(4);
  });
});
