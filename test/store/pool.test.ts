import { describe, expect, it } from "vitest";
import { memoryTable } from "#store/memory-table";
import { type LargePools, lookIntoPool } from "#store/pool";
import type { Query } from "#store/table";
import { crypto } from "../domain/builders.ts";
import { cards, newStore, pf, putFleet } from "./support.ts";

/** A pool of cards on offer, and what a look asks it for. */
async function pool(count: number) {
  const table = memoryTable();
  const asked: Query[] = [];
  const query: typeof table.query = async (one) => {
    asked.push(one);
    return await table.query(one);
  };
  const store = newStore({ ...table, query });
  await putFleet(store, cards(count), 1);
  asked.length = 0;
  return { store, limits: () => asked.splice(0).map(({ limit }) => limit) };
}

describe("a look into the pool", () => {
  const resourceClasses = [pf];

  it("reads less of a pool that is known to be large", async () => {
    const { store, limits } = await pool(64);
    const large: LargePools = new Map();
    const first = await lookIntoPool(store, { resourceClasses }, large);
    expect([first.length, limits()]).toEqual([24, [6, 6, 6, 6]]);
    const second = await lookIntoPool(store, { resourceClasses }, large);
    expect(limits()).toEqual([4]);
    expect(second.length).toBeGreaterThan(0);
  });

  it("reads no less where the image that makes room matters", async () => {
    const { store, limits } = await pool(64);
    const large: LargePools = new Map();
    await lookIntoPool(store, { resourceClasses }, large);
    limits();
    await lookIntoPool(store, { resourceClasses, ahead: true }, large);
    expect(limits()).toEqual([6]);
    await lookIntoPool(store, { resourceClasses, image: crypto }, large);
    expect(new Set(limits())).toEqual(new Set([6]));
    await lookIntoPool(store, { resourceClasses, several: true }, large);
    expect(new Set(limits())).toEqual(new Set([32]));
  });

  it("holds no pool for large that one look has seen whole", async () => {
    const { store } = await pool(4);
    const large: LargePools = new Map();
    expect(await lookIntoPool(store, { resourceClasses }, large)).toHaveLength(4);
    expect(large.size).toBe(0);
  });
});
