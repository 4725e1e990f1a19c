import type { Table } from "#store/table";

/** What it cost: `calls` in all, `sequential` on the longest chain of calls that waited in turn. */
interface RoundTrips {
  readonly calls: number;
  readonly sequential: number;
}

/** A table that counts. */
export interface CountingTable extends Table {
  roundTrips(): RoundTrips;
  /** Starts again at zero; call it while nothing is under way. */
  reset(): void;
}

/**
 * Counts the round trips that a caller waits for (design.md §12: a claim takes at most 2). A call
 * comes after every call that had ended when it began, so parallel calls count once.
 */
export function countingTable(table: Table): CountingTable {
  let calls = 0;
  let ended = 0;
  let longest = 0;
  async function counted<T>(call: () => Promise<T>): Promise<T> {
    calls += 1;
    const depth = ended + 1;
    longest = Math.max(longest, depth);
    try {
      return await call();
    } finally {
      ended = Math.max(ended, depth);
    }
  }
  return {
    get: (key, options) => counted(() => table.get(key, options)),
    getMany: (keys) => counted(() => table.getMany(keys)),
    query: (query) => counted(() => table.query(query)),
    write: (writes) => counted(() => table.write(writes)),
    roundTrips: () => ({ calls, sequential: longest }),
    reset: () => {
      calls = 0;
      ended = 0;
      longest = 0;
    },
  };
}
