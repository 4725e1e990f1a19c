import type { Claim } from "#domain/claim";
import { Fault } from "#domain/faults";
import { absent, all, eq } from "#store/expression";
import { claimKey, due, instanceKey, listShards, shardOf } from "#store/keys";
import { type List, listShardsOf, type Wanted } from "#store/lists";
import { rowOf, valueOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Key, Write } from "#store/table";

const byTime = (claim: Claim) => `${String(claim.createdAt).padStart(15, "0")}#${claim.id}`;

/** The row of a claim; `fence` and `state` stand beside it for the conditions of other writers. */
export function claimRow(claim: Claim): Item & Key {
  const obligation = nextObligation(claim);
  return rowOf(claimKey(claim.id), "claim", claim, {
    state: claim.state,
    fence: claim.fence,
    changedAt: claim.updatedAt,
    gsi1pk: `PROJECT#${claim.project}`,
    gsi1sk: byTime(claim),
    gsi2pk: `CLAIMS#${shardOf(claim.id, listShards)}`,
    gsi2sk: byTime(claim),
    ...(obligation === undefined ? {} : due(obligation, "claim", claim.id)),
  });
}

/** When the sweep must look at a claim next: its bind deadline, or the end of its lease. */
export function nextObligation(claim: Claim): number | undefined {
  const deadline =
    claim.state === "BindStarted" || claim.state === "Initial" ? claim.deadline : undefined;
  const moments = [deadline, claim.leaseUntil].filter((one) => one !== undefined);
  return moments.length === 0 ? undefined : Math.min(...moments);
}

/** A new claim with the pointer of its instance, for one transaction. */
export function addClaim(claim: Claim): readonly Write[] {
  const put: Write = { kind: "put", item: claimRow(claim), if: absent("pk") };
  if (claim.instance === undefined) return [put];
  const pointer = rowOf(instanceKey(claim.instance, claim.id), "pointer", { claim: claim.id });
  return [put, { kind: "put", item: pointer }];
}

/** Replaces a claim that is still in the state and under the fence it was read in. */
export function replaceClaim(before: Claim, after: Claim): Write {
  return { kind: "put", item: claimRow(after), if: unchanged(before) };
}

/** Ends a claim with its pointer. */
export function removeClaim(claim: Claim): readonly Write[] {
  const gone: Write = { kind: "delete", key: claimKey(claim.id), if: unchanged(claim) };
  if (claim.instance === undefined) return [gone];
  return [gone, { kind: "delete", key: instanceKey(claim.instance, claim.id) }];
}

function unchanged(claim: Claim) {
  const fence = claim.fence === undefined ? absent("fence") : eq("fence", claim.fence);
  return all(eq("state", claim.state), fence, eq("changedAt", claim.updatedAt));
}

/** One claim, consistently read. */
export async function readClaim(store: Store, id: string): Promise<Claim | undefined> {
  return valueOrUndefined<Claim>(await store.table.get(claimKey(id), { consistent: true }));
}

/** Who asks for a claim. */
interface ClaimViewer {
  readonly project: string;
  readonly isAdmin: boolean;
}

/** One claim the caller may see; another project's claim is unknown to it. UNKNOWN_CLAIM. */
export async function visibleClaim(store: Store, id: string, viewer: ClaimViewer): Promise<Claim> {
  return requireVisible(await readClaim(store, id), id, viewer);
}

/** The claim that was read, if there is one and the caller may see it. UNKNOWN_CLAIM. */
export function requireVisible(claim: Claim | undefined, id: string, viewer: ClaimViewer): Claim {
  if (claim === undefined || (!viewer.isAdmin && claim.project !== viewer.project)) {
    throw new Fault("UNKNOWN_CLAIM", `no claim ${id}`, { field: "claim" });
  }
  return claim;
}

/** Claims of one project, oldest first. */
export async function listClaims(
  store: Store,
  project: string,
  wanted: Wanted,
): Promise<List<Claim>> {
  const entry = (item: Item) => valueOf<Claim>(item);
  return await listShardsOf(store, { index: "gsi1", prefix: `PROJECT#${project}`, entry }, wanted);
}

/** Claims of every project. */
export async function listAllClaims(store: Store, wanted: Wanted): Promise<List<Claim>> {
  const entry = (item: Item) => valueOf<Claim>(item);
  const shards = { index: "gsi2", prefix: "CLAIMS#", shards: listShards, entry } as const;
  return await listShardsOf(store, shards, wanted);
}

/** Claims of one instance by its pointers: consistent, and its cost does not grow with the fleet. */
export async function claimsOfInstance(store: Store, instance: string): Promise<readonly Claim[]> {
  const page = await store.table.query({ pk: `INSTANCE#${instance}`, consistent: true });
  const ids = page.items.map((item) => valueOf<{ readonly claim: string }>(item).claim);
  const rows = await store.table.getMany(ids.map(claimKey));
  return rows.flatMap((row) => (row === undefined ? [] : [valueOf<Claim>(row)]));
}
