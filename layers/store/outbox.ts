import { type Claim, isAwaited } from "#domain/claim";
import { all, eq } from "#store/expression";
import { due, outboxKey } from "#store/keys";
import { rowOf, valueOf } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Key, Write } from "#store/table";

/** What Nova has not heard yet: how the bind of one accelerator request of an instance ended. */
export interface OwedEvent {
  readonly claim: string;
  readonly instance: string;
  readonly status: "completed" | "failed";
  readonly createdAt: number;
  /** Tries so far that Nova did not accept. */
  readonly tries: number;
}

function outboxRow(event: OwedEvent, dueAt: number): Item & Key {
  return rowOf(outboxKey(event.claim), "outbox", event, {
    createdAt: event.createdAt,
    tries: event.tries,
    ...due(dueAt, "outbox", event.claim, "SYNC"),
  });
}

/** Goes into the transaction that ends a bind: nothing for a claim that no scheduler waits for. */
export function oweEvent(claim: Claim, status: OwedEvent["status"], now: number): readonly Write[] {
  const { id, instance } = claim;
  if (!isAwaited(claim) || instance === undefined) return [];
  const event = { claim: id, instance, status, createdAt: now, tries: 0 };
  return [{ kind: "put", item: outboxRow(event, now) }];
}

/** The event a row holds. */
export function owedEventOf(item: Item): OwedEvent {
  return valueOf<OwedEvent>(item);
}

/** One event as it is by now; undefined when it was accepted, or nobody waits for it any more. */
export async function readOwedEvent(store: Store, claim: string): Promise<OwedEvent | undefined> {
  const item = await store.table.get(outboxKey(claim), { consistent: true });
  return item === undefined ? undefined : owedEventOf(item);
}

/** Nothing is owed any more; a newer event of the same claim stays. */
export async function settleEvent(store: Store, { claim, createdAt }: OwedEvent): Promise<void> {
  const key = outboxKey(claim);
  await store.table.write([{ kind: "delete", key, if: eq("createdAt", createdAt) }]);
}

/** Remembers a try that was not accepted, to be repeated at `dueAt` (ms). */
export async function postponeEvent(store: Store, event: OwedEvent, dueAt: number): Promise<void> {
  const { createdAt, tries } = event;
  const same = all(eq("createdAt", createdAt), eq("tries", tries));
  const item = outboxRow({ ...event, tries: tries + 1 }, dueAt);
  await store.table.write([{ kind: "put", item, if: same }]);
}
