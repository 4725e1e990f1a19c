import type { Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { Fault } from "#domain/faults";
import { adopt } from "#domain/transitions";
import { addClaim } from "#store/claims";
import { readDeployable, replaceDeployable } from "#store/deployables";
import { add, exists } from "#store/expression";
import { quotaKey } from "#store/keys";
import { openQuota } from "#store/quotas";
import type { Store } from "#store/store";
import type { Write } from "#store/table";

const mostTries = 6;

/** A claim that another service has given out already, on a handle of ours. */
export interface Adoption {
  /** `Bound`, with host, deployable and handle; its fence follows from the handle. */
  readonly claim: Claim;
  readonly defaultQuota: number;
}

/**
 * Takes a claim over, in one transaction: the claim is there, its handle is its own with a higher
 * fence, its quota is taken. A project that holds more than its limit so has less than nothing left:
 * what is there is not taken from it. Nothing is programmed or cleaned.
 * CONFLICT when the claim is there; IN_USE when another holds the handle; TRY_AGAIN.
 */
export async function adoptClaim(store: Store, { claim, defaultQuota }: Adoption): Promise<Claim> {
  const { project, resourceClass, host = "", deployable: id = "", handle = "" } = claim;
  await openQuota(store, { project, resourceClass }, defaultQuota);
  for (let attempt = 0; attempt < mostTries; attempt += 1) {
    const before = await readDeployable(store, host, id);
    const after = adopted(before, claim, store.now());
    const given = { ...claim, fence: after.handles[handle]?.fence };
    const quota: Write = {
      kind: "update",
      key: quotaKey(project, resourceClass),
      changes: [add("left", -1)],
      if: exists("pk"),
    };
    const [put, ...pointers] = addClaim(given);
    if (put === undefined || before === undefined) throw new RangeError("a claim has a row");
    const writes = [put, ...pointers, quota, replaceDeployable(before, after)];
    const result = await store.table.write(writes);
    if (result.ok) return given;
    if (result.failures[0]?.reason === "condition") {
      throw new Fault("CONFLICT", `a claim ${claim.id} is here already`, { claim: claim.id });
    }
    await store.sleep(store.random() * 10 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

function adopted(before: Deployable | undefined, claim: Claim, now: number): Deployable {
  const { deployable, handle = "", id, project, instance } = claim;
  if (before === undefined || !before.present) {
    throw new Fault("UNKNOWN_DEPLOYABLE", `no deployable ${deployable ?? ""}`);
  }
  const holder = before.handles[handle]?.holder;
  if (holder !== undefined) throw new Fault("IN_USE", `claim ${holder.claim} holds ${handle}`);
  return adopt(before, { claim: id, project, instance, handle }, now);
}
