import { isFault } from "#domain/faults";
import { type Once, recall, rememberOnce } from "#store/idempotency";
import type { Store } from "#store/store";
import type { Write } from "#store/table";
import type { Answer } from "../http/call.ts";

/** The two ways a create can go. `Kept` is what the first request leaves for its repetitions. */
export interface Steps<Kept extends object> {
  /** Makes the thing, with `remember(kept)` in the same transaction. */
  readonly make: (remember: (kept: Kept) => Write) => Promise<Answer>;
  /** The answer of a repetition. */
  readonly replay: (kept: Kept) => Promise<Answer>;
}

/** Runs a create once per idempotency key. IDEMPOTENCY_MISMATCH; whatever `make` throws. */
export async function onlyOnce<Kept extends object>(
  store: Store,
  once: Once,
  { make, replay }: Steps<Kept>,
): Promise<Answer> {
  const known = await recall<Kept>(store, once);
  if (known !== undefined) return await replay(known);
  try {
    return await make((kept) => rememberOnce(once, kept, store.now()));
  } catch (error) {
    // The same request may have been won meanwhile by its own repetition.
    const winner = isFault(error) ? await recall<Kept>(store, once) : undefined;
    if (winner === undefined) throw error;
    return await replay(winner);
  }
}
