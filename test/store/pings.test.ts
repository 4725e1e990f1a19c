import { beforeEach, describe, expect, it } from "vitest";
import { beatRow, readBeat, replaceBeat } from "#store/hosts";
import { beatKey } from "#store/keys";
import { memoryTable } from "#store/memory-table";
import { notePing } from "#store/pings";
import type { Table, Write } from "#store/table";
import { uuid } from "../domain/builders.ts";
import { newStore, putHosts, refusal, startedAt, type TestStore } from "./support.ts";

const host = uuid(1);
const inner = { table: memoryTable() };
let store: TestStore;
let calls: string[];
let writes: Write[];

/** Counts what a ping costs; the first `conflicts` writes meet another transaction. */
function counted(conflicts = 0): TestStore {
  let left = conflicts;
  const { table } = inner;
  const count = <Kind extends "get" | "getMany" | "query">(kind: Kind): Table[Kind] =>
    ((...args: Parameters<Table[Kind]>) => {
      calls.push(kind);
      return (table[kind] as (...all: unknown[]) => unknown)(...args);
    }) as Table[Kind];
  const write: Table["write"] = async (all) => {
    calls.push("write");
    writes.push(...all);
    left -= 1;
    if (left >= 0) return { ok: false, failures: all.map(() => ({ reason: "conflict" })) };
    return await table.write(all);
  };
  return newStore({ get: count("get"), getMany: count("getMany"), query: count("query"), write });
}

beforeEach(async () => {
  inner.table = memoryTable();
  calls = [];
  writes = [];
  store = counted();
  await putHosts(newStore(inner.table), [host], {
    epoch: 3,
    connection: "c1",
    inventoryHash: "known",
  });
  store.clock.now = startedAt + 30_000;
});

const row = async () => await inner.table.get(beatKey(host));

describe("a ping", () => {
  it("costs one update of its own that may be repeated, and no read", async () => {
    const before = await row();
    expect(await notePing(store, { host, epoch: 3, inventoryHash: "known" })).toBe(true);
    expect(calls).toEqual(["write"]);
    expect(writes).toMatchObject([{ kind: "update", repeatable: true }]);
    expect(await row()).toEqual({ ...before, seenAt: startedAt + 30_000 });
  });

  it.each([2, 4])("of session %i is superseded while 3 is the newest", async (epoch) => {
    const before = await row();
    expect(await refusal(notePing(store, { host, epoch }))).toBe("SUPERSEDED");
    expect(await row()).toEqual(before);
  });

  it("of a session that was given up as silent does not bring its host back", async () => {
    const beat = await readBeat(store, host);
    await replaceBeat(store, beat, { ...beat, state: "offline", withdrawing: true });
    const before = await row();
    expect(await refusal(notePing(store, { host, epoch: 3 }))).toBe("SUPERSEDED");
    expect(await row()).toEqual(before);
  });

  it("of a host that is drained is a sign of life", async () => {
    const beat = await readBeat(store, host);
    await replaceBeat(store, beat, { ...beat, state: "drained" });
    expect(await notePing(store, { host, epoch: 3 })).toBe(true);
    expect(await readBeat(store, host)).toMatchObject({ seenAt: store.now(), state: "drained" });
  });

  it("of a host that nobody knows is refused and makes none", async () => {
    expect(await refusal(notePing(store, { host: uuid(2), epoch: 3 }))).toBe("UNKNOWN_HOST");
    expect(await inner.table.get(beatKey(uuid(2)))).toBeUndefined();
  });

  it("with another inventory than the table's says so, and is a sign of life", async () => {
    expect(await notePing(store, { host, epoch: 3, inventoryHash: "newer" })).toBe(false);
    const beat = await readBeat(store, host);
    expect(beat).toMatchObject({ seenAt: store.now(), inventoryHash: "known" });
  });

  it("with an inventory that the table has none of says so", async () => {
    const { inventoryHash: _, ...beat } = await readBeat(store, host);
    await inner.table.write([{ kind: "put", item: beatRow(beat) }]);
    expect(await notePing(store, { host, epoch: 3, inventoryHash: "newer" })).toBe(false);
  });

  it("is tried again when it meets a grant", async () => {
    const busy = counted(3);
    expect(await notePing(busy, { host, epoch: 3 })).toBe(true);
    expect(calls).toEqual(["write", "write", "write", "write"]);
    expect((await readBeat(store, host)).seenAt).toBeGreaterThan(startedAt);
  });

  it("that always meets one changes nothing and is answered by what stands there", async () => {
    const before = await row();
    expect(await notePing(counted(99), { host, epoch: 3, inventoryHash: "known" })).toBe(true);
    expect(await notePing(counted(99), { host, epoch: 3, inventoryHash: "newer" })).toBe(false);
    expect(await refusal(notePing(counted(99), { host, epoch: 2 }))).toBe("SUPERSEDED");
    expect(await row()).toEqual(before);
  });
});
