import { describe, expect, it } from "vitest";
import type { Image } from "#domain/image";
import { inventoryOf } from "#domain/providers/provider";
import { openSession } from "#openstack/session";
import { dueRows } from "#store/due";
import {
  callForSync,
  forgetPlacement,
  hostToSync,
  type PlacementFacts,
  postponePlacement,
  readPlacement,
  writePlacement,
} from "#store/placement";
import type { Item, Table } from "#store/table";
import { ImageShelf } from "../../functions/openstack/image-shelf.ts";
import { placementParts } from "../../functions/openstack/placement-parts.ts";
import { image, uuid } from "../domain/builders.ts";
import { newStore, putImage, startedAt } from "../store/support.ts";

const host = uuid(1);
const facts: PlacementFacts = {
  host,
  hostName: "n",
  state: "synced",
  root: uuid(2),
  providers: {
    [uuid(3)]: { name: "n_a", ours: { classes: ["CUSTOM_X"], traits: ["CUSTOM_1"] } },
  },
  tries: 0,
  readAt: 5,
  dueAt: startedAt + 1000,
};

describe("the record of a host's providers", () => {
  it("is written by whoever read it last", async () => {
    const store = newStore();
    expect(await readPlacement(store, host)).toBeUndefined();
    const first = await writePlacement(store, undefined, facts);
    expect(await readPlacement(store, host)).toEqual(first);
    expect(first).toMatchObject({ ...facts, revision: 1 });
    expect(await writePlacement(store, undefined, facts)).toBeUndefined();
    const second = await writePlacement(store, first, { ...facts, tries: 1 });
    expect(second).toMatchObject({ tries: 1, revision: 2 });
    expect(await writePlacement(store, first, facts)).toBeUndefined();
    expect(await postponePlacement(store, { ...facts, revision: 1 }, 7)).toBe(false);
    expect(await forgetPlacement(store, { ...facts, revision: 1 })).toBe(false);
    expect(await forgetPlacement(store, { ...facts, revision: 2 })).toBe(true);
    expect(await readPlacement(store, host)).toBeUndefined();
  });

  it("is in the work list of second systems when it is due, and not in the sweep's", async () => {
    const store = newStore();
    const record = await writePlacement(store, undefined, facts);
    const due = async (list: "DUE" | "SYNC") => {
      const rows: Item[] = [];
      for await (const item of dueRows(store, list)) rows.push(item);
      return rows;
    };
    expect(await due("SYNC")).toEqual([]);
    store.clock.now = facts.dueAt;
    const [item = {}, ...others] = await due("SYNC");
    expect(others).toEqual([]);
    expect(item["type"]).toBe("placement");
    expect(hostToSync(item)).toBe(host);
    expect(await due("DUE")).toEqual([]);
    expect(await postponePlacement(store, { ...facts, revision: 1 }, facts.dueAt + 1)).toBe(true);
    expect(await due("SYNC")).toEqual([]);
    expect(await readPlacement(store, host)).toEqual({ ...record, dueAt: facts.dueAt + 1 });
  });

  it("holds 64 providers with 300 traits each, and gives them back as they were", async () => {
    const store = newStore();
    const traits = Array.from({ length: 300 }, (_, at) => `CUSTOM_${"X".repeat(60)}_${at}`);
    const inventories = { FPGA: inventoryOf(4, 1), CUSTOM_X: inventoryOf(1, 0) };
    const providers = Object.fromEntries(
      Array.from({ length: 64 }, (_, at) => {
        const seen = { generation: at, inventories, traits: traits.slice(at) };
        const ours = { classes: ["FPGA"], traits: traits.slice(at + 1) };
        return [uuid(at), { name: `n_${at}`, seen, ours }];
      }),
    );
    expect(JSON.stringify(providers).length).toBeGreaterThan(400_000);
    const written = await writePlacement(store, undefined, { ...facts, providers });
    expect(written?.providers).toEqual(providers);
    expect(await readPlacement(store, host)).toEqual(written);
  });

  it("is called for at once, also before the first look, and stops one that is under way", async () => {
    const store = newStore();
    await callForSync(store, { host, hostName: "n" });
    const blank = await readPlacement(store, host);
    expect(blank).toMatchObject({ state: "waiting", dueAt: startedAt, providers: {} });
    const known = await writePlacement(store, blank, facts);
    store.clock.now += 10;
    await callForSync(store, { host, hostName: "other" });
    expect(await readPlacement(store, host)).toEqual({
      ...known,
      dueAt: startedAt + 10,
      revision: 3,
    });
    expect(await writePlacement(store, known, facts)).toBeUndefined();
  });
});

/** A store whose list of images takes as long as the test wants. */
function slowImages() {
  const store = newStore();
  const waiting: (() => void)[] = [];
  const query: Table["query"] = async (one) => {
    const page = await store.table.query(one);
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
    });
    return page;
  };
  return { store, waiting, slow: { ...store, table: { ...store.table, query } } };
}

/** Lets everything that waits for nothing but other promises come to rest. */
async function settled(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

const ids = (images: readonly Image[]) => images.map(({ id }) => id);

describe("the shelf of images", () => {
  it("remembers for a moment, and knows what is new when that is asked for", async () => {
    const store = newStore();
    const shelf = new ImageShelf(store);
    expect(await shelf.recent()).toEqual([]);
    const { id } = await putImage(store);
    expect(await shelf.recent()).toEqual([]);
    expect(ids(await shelf.fresh())).toEqual([id]);
    expect(ids(await shelf.recent())).toEqual([id]);
    await putImage(store, { id: uuid(8) });
    store.clock.now += 5_000;
    expect(await shelf.recent()).toHaveLength(2);
  });

  it("gives nobody a read that began before it was asked for, and reads once for many", async () => {
    const { store, waiting, slow } = slowImages();
    const shelf = new ImageShelf(slow);
    const first = shelf.fresh();
    await settled();
    await store.table.write([]);
    const { id } = await putImage(store);
    const later = [shelf.fresh(), shelf.fresh(), shelf.fresh()];
    await settled();
    expect(waiting).toHaveLength(1);
    waiting.shift()?.();
    expect(await first).toEqual([]);
    await settled();
    expect(waiting).toHaveLength(1);
    waiting.shift()?.();
    expect((await Promise.all(later)).map(ids)).toEqual([[id], [id], [id]]);
  });

  it("forgets a read that failed", async () => {
    const store = newStore();
    let isAway = true;
    const query: Table["query"] = async (one) => {
      if (isAway) throw new Error("away");
      return await store.table.query(one);
    };
    const shelf = new ImageShelf({ ...store, table: { ...store.table, query } });
    await expect(shelf.recent()).rejects.toThrow("away");
    isAway = false;
    expect(await shelf.recent()).toEqual([]);
  });

  it("is what a process makes of its store", async () => {
    const store = newStore();
    const openstack = openSession({
      fetch: globalThis.fetch,
      now: Date.now,
      endpoints: {},
      interface: "public",
    });
    const parts = placementParts({ store, openstack, shape: "tree" });
    await putImage(store, image());
    expect(await parts.images.recent()).toHaveLength(1);
    expect(await parts.images.fresh()).toHaveLength(1);
    expect(parts.shape).toBe("tree");
  });
});
