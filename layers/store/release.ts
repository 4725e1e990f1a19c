import { type Claim, isWaiting } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { Fault } from "#domain/faults";
import { abandon, release } from "#domain/transitions";
import { moveClaim, readClaim, removeClaim } from "#store/claims";
import { readDeployable, replaceDeployable } from "#store/deployables";
import { oweEvent } from "#store/outbox";
import { returnQuota } from "#store/quotas";
import type { Store } from "#store/store";
import type { Write } from "#store/table";

/** What a release left: the deployable that is being cleaned, when the claim held a handle. */
export interface Released {
  readonly claim: Claim;
  readonly deployable?: Deployable | undefined;
}

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
  return { ...rest, state: "BindFailed", reason, deadline: undefined, updatedAt: now };
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
