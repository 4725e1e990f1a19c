import type { Table } from "#store/table";

/** What every repository works with: the table and the effects it may use. */
export interface Store {
  readonly table: Table;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}
