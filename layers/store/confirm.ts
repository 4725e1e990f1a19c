import type { Claim } from "#domain/claim";
import { allocated } from "#domain/transitions";
import { moveClaim } from "#store/claims";
import { replaceDeployable } from "#store/deployables";
import { onClaim } from "#store/on-claim";
import type { Store } from "#store/store";

/** Placement has agreed: the claim's wish may reach the agent. UNKNOWN_CLAIM when it has ended. */
export async function confirmAllocation(store: Store, known: Claim): Promise<Claim> {
  return await onClaim(store, known, (claim, deployable) => {
    if (claim.allocation !== "pending") return { writes: [], answer: claim };
    const now = store.now();
    const after: Claim = { ...claim, allocation: "done", updatedAt: now };
    const shown = deployable && allocated(deployable, claim.handle ?? "", now);
    const writes = [
      ...moveClaim(claim, after),
      ...(deployable && shown ? [replaceDeployable(deployable, shown)] : []),
    ];
    return { writes, answer: after };
  });
}
