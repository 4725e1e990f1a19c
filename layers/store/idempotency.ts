import { Fault } from "#domain/faults";
import { absent, any, le } from "#store/expression";
import { idempotencyKey } from "#store/keys";
import { expiry, isExpired, rowOf, valueOf } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Write } from "#store/table";

/** Answers are remembered for this long (design §4 asks for at least a day). */
const lifeMs = 26 * 3_600_000;

/** One request that must not happen twice: `id` from project, route and key; `body` its digest. */
export interface Once {
  readonly id: string;
  readonly body: string;
}

/** The write that makes a request happen once; it goes into the request's own transaction. */
export function rememberOnce(once: Once, answer: object, now: number): Write {
  return {
    kind: "put",
    item: rowOf(idempotencyKey(once.id), "idempotency", answer, {
      body: once.body,
      expiresAt: expiry(now, lifeMs),
    }),
    // Expired means absent, although DynamoDB may keep the row for days.
    if: any(absent("pk"), le("expiresAt", Math.floor(now / 1000))),
  };
}

/**
 * The answer of the first request with this key, from the row that made the second one fail.
 * IDEMPOTENCY_MISMATCH when the first had another body.
 */
export function replayed<Answer>(once: Once, item: Item): Answer {
  if (item["body"] !== once.body) {
    throw new Fault("IDEMPOTENCY_MISMATCH", undefined, { field: "Idempotency-Key" });
  }
  return valueOf<Answer>(item);
}

/** The remembered answer, if this request was made before. */
export async function recall<Answer>(store: Store, once: Once): Promise<Answer | undefined> {
  const item = await store.table.get(idempotencyKey(once.id), { consistent: true });
  return item === undefined || isExpired(item, store.now()) ? undefined : replayed(once, item);
}
