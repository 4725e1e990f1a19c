import type { Facts } from "./facts.ts";

/** One event as the checker takes it; `at` in ms since the epoch. */
export interface HistoryEvent {
  readonly id: string;
  readonly at: number;
  readonly kind: string;
  readonly text: string;
  readonly project?: string | undefined;
  readonly host?: string | undefined;
  readonly deployable?: string | undefined;
  readonly claim?: string | undefined;
  readonly facts?: Facts | undefined;
}

/** An event whose facts are of one kind. */
export type Told<Kind extends Facts> = HistoryEvent & { readonly facts: Kind };

/** A promise that was broken: which, of what, and the two events that show it; one can be enough. */
export interface Violation {
  readonly invariant: Invariant;
  /** What it happened to: a claim, `deployable/handle`, a deployable, or `project class`. */
  readonly object: string;
  readonly text: string;
  readonly events: readonly HistoryEvent[];
}

/**
 * The promises that a history can show broken (design §4): I1 to I5 by number; `lifecycle` illegal
 * moves; `scrub` a handle that was free or granted without proof that it is clean; `receipts` a chain
 * that does not hold together.
 */
export type Invariant = "I1" | "I2" | "I3" | "I4" | "I5" | "lifecycle" | "scrub" | "receipts";

/** Something that has begun and not ended: no violation, yet nothing may stay open for ever. */
export interface Open {
  readonly object: string;
  readonly text: string;
  readonly since: HistoryEvent;
}

/** What one part of the check found. */
export interface Finding {
  readonly violations: readonly Violation[];
  readonly open: readonly Open[];
  /** Changes between two told ones that nobody told: the history is not whole. */
  readonly gaps: number;
}

/** Events of two rows are written apart: within this time, ms, their order is not known. */
export const sameMomentMs = 1000;
/** Events this close to the newest may still lack what belongs to them, ms. */
export const settleMs = 10_000;

/** Values by key, in the order they come. */
export function grouped<Value>(
  values: readonly Value[],
  key: (value: Value) => string | undefined,
): ReadonlyMap<string, readonly Value[]> {
  const groups = new Map<string, Value[]>();
  for (const value of values) {
    const name = key(value);
    if (name === undefined) continue;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [value]);
    else group.push(value);
  }
  return groups;
}
