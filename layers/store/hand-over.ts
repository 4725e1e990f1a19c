import type { Claim } from "#domain/claim";
import { Fault } from "#domain/faults";
import { moveClaim } from "#store/claims";
import { openQuota, overQuota, quotaOf, returnQuota, takeQuota } from "#store/quotas";
import type { Store } from "#store/store";

const mostTries = 4;

/**
 * Gives a claim that holds no handle yet to another project: its quota comes from there from now on,
 * in the same transaction (I3). OVER_QUOTA; CONFLICT when the claim changed since it was read.
 */
export async function handOver(
  store: Store,
  claim: Claim,
  to: { readonly project: string; readonly defaultQuota: number },
): Promise<Claim> {
  const { project, defaultQuota } = to;
  const { resourceClass } = claim;
  if (project === claim.project) return claim;
  for (let attempt = 0; attempt < mostTries; attempt += 1) {
    const given: Claim = { ...claim, project, updatedAt: store.now() };
    const result = await store.table.write([
      takeQuota(project, resourceClass, 1),
      returnQuota(claim.project, resourceClass, 1),
      ...moveClaim(claim, given),
    ]);
    if (result.ok) return given;
    const [taken, , moved] = result.failures;
    if (moved?.reason === "condition") throw new Fault("CONFLICT", `claim ${claim.id} has changed`);
    if (taken?.reason === "condition") {
      if (taken.item !== undefined) throw overQuota(quotaOf(taken.item), 1);
      await openQuota(store, { project, resourceClass }, defaultQuota);
    }
    await store.sleep(store.random() * 10 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}
