import type { FaultKind } from "./faults.ts";
import type { Invariant } from "./judge/invariants.ts";

/** What a failing run can lose: ops by their ids, and kinds of faults. */
export interface Cut {
  readonly keep: readonly number[];
  readonly faults: readonly FaultKind[];
}

/** What became of a run that was cut: the invariant that broke, or nothing. */
export type Rerun = (cut: Cut) => Promise<Invariant | undefined>;

/**
 * A smaller run that breaks the same invariant: whole kinds of faults go first, then ops, half of
 * them at a time and then less, as long as there are `tries`.
 */
export async function shrink(
  start: Cut,
  invariant: Invariant,
  rerun: Rerun,
  tries = 150,
): Promise<Cut> {
  const search = new Search(start, invariant, rerun, tries);
  for (const kind of start.faults) await search.withoutKind(kind);
  for (let size = Math.ceil(start.keep.length / 2); size >= 1 && search.isOpen; ) {
    const before = search.best.keep.length;
    await search.withoutSlices(size);
    const after = search.best.keep.length;
    if (after === before && size === 1) break;
    if (after === before || size > after) size = Math.ceil(size / 2);
  }
  return search.best;
}

class Search {
  best: Cut;
  readonly #invariant: Invariant;
  readonly #rerun: Rerun;
  #left: number;

  constructor(start: Cut, invariant: Invariant, rerun: Rerun, tries: number) {
    this.best = start;
    this.#invariant = invariant;
    this.#rerun = rerun;
    this.#left = tries;
  }

  get isOpen(): boolean {
    return this.#left > 0;
  }

  async withoutKind(kind: FaultKind): Promise<void> {
    await this.#attempt({ ...this.best, faults: this.best.faults.filter((one) => one !== kind) });
  }

  /** Tries to do without each slice of the ops, the last one first: what comes later matters less. */
  async withoutSlices(size: number): Promise<void> {
    for (let end = this.best.keep.length; end > 0 && this.isOpen; end -= size) {
      const keep = this.best.keep.toSpliced(Math.max(0, end - size), Math.min(size, end));
      await this.#attempt({ ...this.best, keep });
    }
  }

  async #attempt(cut: Cut): Promise<void> {
    if (!this.isOpen) return;
    this.#left -= 1;
    if ((await this.#rerun(cut)) === this.#invariant) this.best = cut;
  }
}
