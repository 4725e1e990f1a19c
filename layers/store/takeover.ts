import type { Deployable } from "#domain/deployable";
import { Fault } from "#domain/faults";
import { abandon, release } from "#domain/transitions";
import { oweDrop } from "#store/allocations";
import { moveClaim, readClaim } from "#store/claims";
import { changeDeployable } from "#store/deployables";
import { readBeat } from "#store/hosts";
import { oweEvent } from "#store/outbox";
import { failedClaim } from "#store/release";
import type { Store } from "#store/store";
import type { Write } from "#store/table";

/** Which handle is taken from its holder, and what its claim says from then on. */
export interface Takeover {
  readonly handle: string;
  /** Goes into the claim's reason, after HOST_OFFLINE. */
  readonly message: string;
  /** What else is written in the same transaction. */
  readonly also: readonly Write[];
}

/**
 * Takes a handle from a host that is silent: its claim fails, whoever waits for its bind is told,
 * its allocation is given back, and the handle stays dirty until a later report proves it clean
 * (design §4). Throws WRONG_STATE for a host that is heard and a handle that nobody holds,
 * CONFLICT when it changed hands meanwhile.
 */
export async function takeOver(
  store: Store,
  found: Deployable,
  { handle, message, also }: Takeover,
): Promise<Deployable> {
  const beat = await readBeat(store, found.host);
  if (beat.state !== "offline") {
    throw new Fault("WRONG_STATE", "the host is not silent: release the claim instead", {
      expected: "a silent host",
    });
  }
  const holder = found.handles[handle]?.holder;
  if (holder === undefined) {
    throw new Fault("WRONG_STATE", `no claim holds handle ${handle}`, { field: "handle" });
  }
  const claim = await readClaim(store, holder.claim);
  const now = store.now();
  const change = (one: Deployable) => {
    const isSame = one.handles[handle]?.holder?.claim === holder.claim;
    if (!isSame) throw new Fault("CONFLICT", `handle ${handle} has another holder by now`);
    return holder.binding ? abandon(one, handle, now) : release(one, handle, now);
  };
  return await changeDeployable(store, found, change, () => {
    if (claim === undefined) return also;
    const failed = failedClaim(claim, { code: "HOST_OFFLINE", message }, now);
    return [
      ...moveClaim(claim, failed),
      ...(claim.state === "BindStarted" ? oweEvent(claim, "failed", now) : []),
      ...oweDrop(claim, now),
      ...also,
    ];
  });
}
