import {
  type Asks,
  type BindOrder,
  type Claim,
  maxCount,
  startBind,
  unbind,
  unboundMs,
} from "#domain/claim";
import { Fault } from "#domain/faults";
import { release } from "#domain/transitions";
import { addClaim, moveClaim, readClaim } from "#store/claims";
import { replaceDeployable } from "#store/deployables";
import { exists } from "#store/expression";
import { profileKey } from "#store/keys";
import { onClaim } from "#store/on-claim";
import { oweEvent } from "#store/outbox";
import { openQuota, overQuota, quotaOf, takeQuota } from "#store/quotas";

import type { Store } from "#store/store";
import type { Failure, Write } from "#store/table";

/** Accelerator requests: claims that are made first and bound to a handle later (cyborg.md §1.3, §2). */

/** One request per handle that an instance will want. */
export interface WantedArq {
  /** Index of the profile's group. */
  readonly group: number;
  readonly resourceClass: string;
  readonly asks: Asks;
}

export interface NewArqs {
  readonly project: string;
  readonly user: string;
  readonly profile: string;
  readonly ids: readonly string[];
  readonly wanted: readonly WantedArq[];
  readonly defaultQuota: number;
}

const mostTries = 8;

/**
 * Makes the requests of one profile, `Initial` and with their quota taken, all or none. One that is
 * not bound ends after {@link unboundMs}. OVER_QUOTA; UNKNOWN_PROFILE; INVALID_REQUEST for more than
 * {@link maxCount}; CONFLICT when an id is in use; TRY_AGAIN.
 */
export async function createArqs(store: Store, request: NewArqs): Promise<readonly Claim[]> {
  checkCount(request);
  for (let attempt = 0; attempt < mostTries; attempt += 1) {
    const claims = newClaims(request, store.now());
    const rows = [profileRow(request), ...quotaRows(store, request), ...claimRows(claims)];
    const result = await store.table.write(rows.map(({ write }) => write));
    if (result.ok) return claims;
    for (const [index, { refused }] of rows.entries()) {
      const failure = result.failures[index];
      if (failure?.reason === "condition") await refused(failure);
    }
    await store.sleep(store.random() * 10 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

function checkCount({ wanted, profile }: NewArqs): void {
  if (wanted.length <= maxCount) return;
  throw new Fault("INVALID_REQUEST", `profile ${profile} asks for ${wanted.length} handles`, {
    field: "device_profile_name",
    expected: `at most ${maxCount} handles`,
  });
}

function newClaims(request: NewArqs, now: number): readonly Claim[] {
  const { project, user, profile, ids, wanted } = request;
  return wanted.map(({ group, resourceClass, asks }, index) => {
    const id = ids[index];
    if (id === undefined) throw new RangeError("one id for every request");
    return {
      id,
      project,
      user,
      state: "Initial",
      resourceClass,
      profile,
      group,
      asks,
      deadline: now + unboundMs,
      createdAt: now,
      updatedAt: now,
    };
  });
}

interface Row {
  readonly write: Write;
  /** Throws what a false condition means, or mends it so that another try may succeed. */
  readonly refused: (failure: Failure & { readonly reason: "condition" }) => Promise<void> | void;
}

function profileRow({ profile }: NewArqs): Row {
  return {
    write: { kind: "check", key: profileKey(profile), if: exists("pk") },
    refused: () => {
      throw new Fault("UNKNOWN_PROFILE", `no profile ${profile}`, { field: "profile" });
    },
  };
}

function quotaRows(store: Store, { project, wanted, defaultQuota }: NewArqs): readonly Row[] {
  const classes = Map.groupBy(wanted, (one) => one.resourceClass);
  return [...classes].map(([resourceClass, { length }]) => ({
    write: takeQuota(project, resourceClass, length),
    refused: async ({ item }) => {
      if (item !== undefined) throw overQuota(quotaOf(item), length);
      await openQuota(store, { project, resourceClass }, defaultQuota);
    },
  }));
}

function claimRows(claims: readonly Claim[]): readonly Row[] {
  return claims.flatMap((claim) =>
    addClaim(claim).map((write) => ({
      write,
      refused: () => {
        throw new Fault("CONFLICT", `a claim ${claim.id} exists`, { claim: claim.id });
      },
    })),
  );
}

/** One request to be bound: as it was read, and where to. */
export interface Binding extends BindOrder {
  readonly claim: Claim;
}

/**
 * Begins binding: every request becomes `BindStarted` with its deadline, all or none. From here on
 * each of them reaches Bound or BindFailed by itself, whatever becomes of the caller.
 * WRONG_STATE and UNKNOWN_CLAIM (`detail.claim` says whose); TRY_AGAIN.
 */
export async function startBinding(
  store: Store,
  orders: readonly Binding[],
  deadlineMs: number,
): Promise<readonly Claim[]> {
  const newest = new Map(orders.map(({ claim }) => [claim.id, claim]));
  for (let attempt = 0; attempt < mostTries; attempt += 1) {
    const moves = orders.map((order) => {
      const before = newest.get(order.claim.id) ?? order.claim;
      const after = startBind(before, order, { now: store.now(), deadlineMs });
      if (after === undefined) throw wrongState(before, "Initial or Unbound");
      return { before, after };
    });
    const result = await store.table.write(
      moves.flatMap(({ before, after }) => moveClaim(before, after)),
    );
    if (result.ok) return moves.map(({ after }) => after);
    for (const { id } of newest.values()) newest.set(id, await requireClaim(store, id));
    await store.sleep(store.random() * 10 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

async function requireClaim(store: Store, id: string): Promise<Claim> {
  const claim = await readClaim(store, id);
  if (claim !== undefined) return claim;
  throw new Fault("UNKNOWN_CLAIM", `no claim ${id}`, { field: "claim", claim: id });
}

function wrongState({ id, state }: Claim, expected: string): Fault {
  return new Fault("WRONG_STATE", `claim ${id} is ${state}`, { expected, claim: id, state });
}

/**
 * Takes a request off its handle and its instance; it keeps its quota and can be bound again. Who
 * waits for its bind is told that it failed. UNKNOWN_CLAIM, WRONG_STATE, TRY_AGAIN.
 */
export async function unbindArq(store: Store, known: Claim): Promise<Claim> {
  return await onClaim(store, known, (claim, deployable) => {
    const now = store.now();
    const after = unbind(claim, now);
    if (after === undefined) throw wrongState(claim, "a request that is or was bound");
    const freed = deployable && release(deployable, claim.handle ?? "", now);
    return {
      writes: [
        ...moveClaim(claim, after),
        ...(deployable && freed ? [replaceDeployable(deployable, freed)] : []),
        ...(claim.state === "BindStarted" ? oweEvent(claim, "failed", now) : []),
      ],
      answer: after,
    };
  });
}

/** True while an accelerator request of this profile is there. */
export async function isProfileUsed(store: Store, profile: string): Promise<boolean> {
  const page = await store.table.query({
    pk: `PROFILE#${profile}`,
    sk: { beginsWith: "CLAIM#" },
    limit: 1,
    consistent: true,
  });
  return page.items.length > 0;
}
