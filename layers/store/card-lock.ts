import type { CardOperation } from "#domain/card";
import { absent, add, all, eq } from "#store/expression";
import { cardKey, cardOperationKey, due } from "#store/keys";
import { expiry, rowOf, valueOf } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Key, Page, Write } from "#store/table";

/** A card's lock as read: `joined` counts rows that were found on the card since it was taken. */
export interface CardLock {
  readonly operation: CardOperation;
  readonly joined: number;
}

/** What became of an operation is kept for 30 days, as other operations are. */
const recordMs = 30 * 86_400_000;

function lockRow({ operation, joined }: CardLock): Item & Key {
  const { host, device, id, deadline } = operation;
  return rowOf(cardKey(host, device), "card", operation, {
    operation: id,
    state: operation.state,
    joined,
    ...due(deadline, "card", device),
  });
}

/** The lock a row holds. */
export function lockOf(item: Item): CardLock {
  return { operation: valueOf<CardOperation>(item), joined: Number(item["joined"]) };
}

/** The lock of a card, consistently read; undefined while no operation holds it. */
export async function readCardLock(
  store: Store,
  host: string,
  device: string,
): Promise<CardLock | undefined> {
  const item = await store.table.get(cardKey(host, device), { consistent: true });
  return item === undefined ? undefined : lockOf(item);
}

/** Every open operation of a host, consistently read. */
export async function openOperations(
  store: Store,
  host: string,
): Promise<readonly CardOperation[]> {
  const found: CardOperation[] = [];
  let after: string | undefined;
  do {
    const page: Page = await store.table.query({
      pk: `HOST#${host}`,
      sk: { beginsWith: "CARD#" },
      consistent: true,
      ...(after === undefined ? {} : { after }),
    });
    found.push(...page.items.map((item) => lockOf(item).operation));
    after = page.next;
  } while (after !== undefined);
  return found;
}

/** Takes a lock that nobody holds. */
export function takeCardLock(operation: CardOperation): Write {
  return { kind: "put", item: lockRow({ operation, joined: 0 }), if: absent("pk") };
}

const asRead = ({ operation, joined }: CardLock) =>
  all(eq("operation", operation.id), eq("state", operation.state), eq("joined", joined));

/** Keeps the lock with what became of its operation meanwhile. */
export function keepCardLock(before: CardLock, operation: CardOperation): Write {
  return { kind: "put", item: lockRow({ ...before, operation }), if: asRead(before) };
}

/** Frees a lock nobody changed since it was read, and writes down how its operation ended. */
export function freeCardLock(before: CardLock, ended: CardOperation): readonly Write[] {
  const { host, device, id } = ended;
  const expiresAt = expiry(ended.updatedAt, recordMs);
  const record = rowOf(cardOperationKey(device, id), "cardOperation", ended, { expiresAt });
  return [
    { kind: "delete", key: cardKey(host, device), if: asRead(before) },
    { kind: "put", item: record },
  ];
}

/**
 * Goes with a row that is new on a card: the lock is as the row says. An operation that ends at the
 * same time has to look at the card's rows again.
 */
export function joinCardLock(
  { host, device }: { readonly host: string; readonly device: string },
  lock: CardLock | undefined,
): Write {
  const key = cardKey(host, device);
  if (lock === undefined) return { kind: "check", key, if: absent("pk") };
  const changes = [add("joined", 1)];
  return { kind: "update", key, changes, if: eq("operation", lock.operation.id) };
}
