import type { Claim } from "#domain/claim";
import { exists } from "#store/expression";
import { allocationKey, due } from "#store/keys";
import { rowOf, valueOf } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Write } from "#store/table";

/** What Placement is owed for native claims (design §9): the intent is in the table before the act. */

/** Allocations to be made, one per claim and all or none, for claims of one host. */
export interface OwedTake {
  readonly order: "take";
  readonly claims: readonly string[];
  readonly host: string;
}

/** The allocation of a claim that ended. */
export interface OwedDrop {
  readonly order: "drop";
  readonly claims: readonly [string];
  readonly host: string;
}

export type OwedAllocation = OwedTake | OwedDrop;

/** Whoever granted makes the allocation at once; the clock looks only when it did not come to that. */
const takeAfterMs = 15_000;

function owedRow(owed: OwedAllocation, dueAt: number): Extract<Write, { kind: "put" }> {
  const [first = ""] = owed.claims;
  const key = allocationKey(first, owed.order);
  const item = rowOf(key, "allocation", owed, due(dueAt, "allocation", first, "SYNC"));
  return { kind: "put", item };
}

/** Goes into a grant whose claims Placement has not seen yet. */
export function oweTake(claims: readonly Claim[], now: number): readonly Write[] {
  const host = claims[0]?.host;
  if (host === undefined) return [];
  return [owedRow({ order: "take", claims: claims.map(({ id }) => id), host }, now + takeAfterMs)];
}

/** Goes into the end of a claim that has, or may have, an allocation of its own. */
export function oweDrop({ id, host, allocation }: Claim, now: number): readonly Write[] {
  if (allocation === undefined || host === undefined) return [];
  return [owedRow({ order: "drop", claims: [id], host }, now)];
}

/** What a row of the work list is owed. */
export function owedAllocationOf(item: Item): OwedAllocation {
  return valueOf<OwedAllocation>(item);
}

/** Nothing is owed any more. */
export async function settleAllocation(store: Store, owed: OwedAllocation): Promise<void> {
  await store.table.write([{ kind: "delete", key: keyOf(owed) }]);
}

/** Tries again at `dueAt` (ms), unless it was settled meanwhile. */
export async function postponeAllocation(
  store: Store,
  owed: OwedAllocation,
  dueAt: number,
): Promise<void> {
  await store.table.write([{ ...owedRow(owed, dueAt), if: exists("pk") }]);
}

function keyOf({ claims: [first = ""], order }: OwedAllocation) {
  return allocationKey(first, order);
}
