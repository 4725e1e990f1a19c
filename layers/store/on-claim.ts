import type { Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { Fault } from "#domain/faults";
import { readClaim } from "#store/claims";
import { readDeployable } from "#store/deployables";
import type { Store } from "#store/store";
import type { Write } from "#store/table";

const mostTries = 8;

/**
 * The handle names the claim: release touches only its own (I1). Its fence may have been lifted above
 * the claim's when the table was restored from an older copy.
 */
function holds(deployable: Deployable | undefined, claim: Claim): boolean {
  const handle = deployable?.handles[claim.handle ?? ""];
  return handle?.holder?.claim === claim.id && handle.fence >= (claim.fence ?? 0);
}

async function heldBy(store: Store, claim: Claim): Promise<Deployable | undefined> {
  if (claim.host === undefined || claim.deployable === undefined) return undefined;
  const deployable = await readDeployable(store, claim.host, claim.deployable);
  return holds(deployable, claim) ? deployable : undefined;
}

/**
 * Runs a change of a claim and its deployable until nobody else was faster. A claim that was just
 * read is tried as it is before it is read again.
 */
export async function onClaim<Answer>(
  store: Store,
  claimOrId: Claim | string,
  change: (
    claim: Claim,
    deployable: Deployable | undefined,
  ) => { readonly writes: readonly Write[]; readonly answer: Answer },
): Promise<Answer> {
  const known = typeof claimOrId === "string" ? undefined : claimOrId;
  const id = typeof claimOrId === "string" ? claimOrId : claimOrId.id;
  for (let attempt = 0; attempt < mostTries; attempt += 1) {
    const claim = attempt === 0 && known !== undefined ? known : await readClaim(store, id);
    if (claim === undefined) {
      throw new Fault("UNKNOWN_CLAIM", `no claim ${id}`, { field: "claim" });
    }
    const { writes, answer } = change(claim, await heldBy(store, claim));
    const result = await store.table.write(writes);
    if (result.ok) return answer;
    await store.sleep(store.random() * 10 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}
