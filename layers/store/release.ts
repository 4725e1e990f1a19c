import { type Claim, isWaiting } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { abandon, release } from "#domain/transitions";
import { oweDrop } from "#store/allocations";
import { moveClaim, removeClaim } from "#store/claims";
import { replaceDeployable } from "#store/deployables";
import { onClaim } from "#store/on-claim";
import { oweEvent } from "#store/outbox";
import { returnQuota } from "#store/quotas";
import type { Store } from "#store/store";
import type { Write } from "#store/table";

/** What a release left: the deployable that is being cleaned, when the claim held a handle. */
export interface Released {
  readonly claim: Claim;
  readonly deployable?: Deployable | undefined;
}

/**
 * Ends a claim in one transaction: row and pointer away, quota back once, handle off the claim with
 * a higher fence, dirty until proven clean. `also` adds writes of the caller's own.
 * UNKNOWN_CLAIM when it has ended; TRY_AGAIN.
 */
export async function releaseClaim(
  store: Store,
  claimOrId: Claim | string,
  also: (released: Released) => readonly Write[] = () => [],
): Promise<Released> {
  return await onClaim(store, claimOrId, (claim, deployable) => {
    const { writes, answer } = ending(claim, deployable, store.now());
    return { writes: [...writes, ...also(answer)], answer };
  });
}

/**
 * Releases a claim whose lease is over, or that was never bound in time; false when it was renewed or
 * moved on meanwhile. UNKNOWN_CLAIM when it has ended; TRY_AGAIN.
 */
export async function releaseOverdue(store: Store, overdue: Claim): Promise<boolean> {
  return await onClaim(store, overdue, (claim, deployable) =>
    isOver(claim, store.now())
      ? { ...ending(claim, deployable, store.now()), answer: true }
      : { writes: [], answer: false },
  );
}

function isOver({ state, deadline, leaseUntil }: Claim, now: number): boolean {
  const isUnbound = state === "Initial" || state === "Unbound";
  const isForgotten = isUnbound && deadline !== undefined && deadline <= now;
  return isForgotten || (leaseUntil !== undefined && leaseUntil <= now);
}

function ending(
  claim: Claim,
  deployable: Deployable | undefined,
  now: number,
): { readonly writes: readonly Write[]; readonly answer: Released } {
  const after = deployable && release(deployable, claim.handle ?? "", now);
  const writes: readonly Write[] = [
    ...removeClaim(claim),
    returnQuota(claim.project, claim.resourceClass, 1),
    ...(deployable && after ? [replaceDeployable(deployable, after)] : []),
    ...(claim.state === "BindStarted" ? oweEvent(claim, "failed", now) : []),
    ...oweDrop(claim, now),
  ];
  return { writes, answer: { claim, deployable: after } };
}

/**
 * A bind that failed or missed its deadline, in one transaction: the claim says why and keeps its
 * quota until it is deleted; the handle is taken back with a higher fence and the card proven anew.
 * A claim that is no longer BindStarted stays as it is.
 */
export async function failBind(
  store: Store,
  id: string,
  reason: { readonly code: string; readonly message: string },
): Promise<Claim> {
  return await onClaim(store, id, (claim, deployable) => {
    if (claim.state !== "BindStarted") return { writes: [], answer: claim };
    const after = deployable && abandon(deployable, claim.handle ?? "", store.now());
    const failed = failedClaim(claim, reason, store.now());
    return {
      writes: [
        ...moveClaim(claim, failed),
        ...(deployable && after ? [replaceDeployable(deployable, after)] : []),
        ...oweEvent(failed, "failed", store.now()),
        ...oweDrop(claim, store.now()),
      ],
      answer: failed,
    };
  });
}

/** Fails a bind that has no handle yet; one that got a handle meanwhile stays as it is. */
export async function failWaiting(
  store: Store,
  waiting: Claim,
  reason: { readonly code: string; readonly message: string },
): Promise<Claim> {
  return await onClaim(store, waiting, (claim) => {
    if (!isWaiting(claim)) return { writes: [], answer: claim };
    const failed = failedClaim(claim, reason, store.now());
    const writes = [...moveClaim(claim, failed), ...oweEvent(failed, "failed", store.now())];
    return { writes, answer: failed };
  });
}

/** A bind whose time is over has failed, whoever notices it first: the sweep or a reader (design §5). */
export async function failOverdue(store: Store, claim: Claim): Promise<Claim> {
  const { id, state, deadline } = claim;
  if (state !== "BindStarted" || deadline === undefined || deadline > store.now()) return claim;
  const message = "the agent did not finish in time";
  return await failBind(store, id, { code: "BIND_DEADLINE", message });
}

/** A claim whose bind failed: it names no handle any more. */
export function failedClaim(
  claim: Claim,
  reason: { readonly code: string; readonly message: string },
  now: number,
): Claim {
  const { handle: _handle, fence: _fence, pciAddress: _address, ...rest } = claim;
  return {
    ...rest,
    state: "BindFailed",
    reason,
    allocation: undefined,
    deadline: undefined,
    updatedAt: now,
  };
}
