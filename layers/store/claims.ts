import { type Claim, isWaiting, waitingLookMs } from "#domain/claim";
import { Fault } from "#domain/faults";
import { absent, all, eq } from "#store/expression";
import {
  claimKey,
  due,
  instanceKey,
  listShards,
  profileUseKey,
  shardOf,
  waitKey,
} from "#store/keys";
import { type List, listShardsOf, type Wanted } from "#store/lists";
import { rowOf, valueOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Key, Query, Write } from "#store/table";

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

const unsettled: ReadonlySet<Claim["state"]> = new Set(["Initial", "BindStarted", "Unbound"]);

/** When the sweep must look at a claim next: its deadline, the end of its lease, or its wait for a card. */
export function nextObligation(claim: Claim): number | undefined {
  const deadline = unsettled.has(claim.state) ? claim.deadline : undefined;
  const look = isWaiting(claim) ? claim.updatedAt + waitingLookMs : undefined;
  const moments = [deadline, look, claim.leaseUntil].filter((one) => one !== undefined);
  return moments.length === 0 ? undefined : Math.min(...moments);
}

/** The rows that point at a claim: by its instance, on the host it waits on, of its profile. */
function pointersOf(claim: Claim): readonly Key[] {
  const { id, instance, host, profile, asks } = claim;
  return [
    ...(instance === undefined ? [] : [instanceKey(instance, id)]),
    ...(isWaiting(claim) && host !== undefined ? [waitKey(host, claim.createdAt, id)] : []),
    ...(profile === undefined || asks === undefined ? [] : [profileUseKey(profile, id)]),
  ];
}

const nameOf = ({ pk, sk }: Key) => `${pk}\n${sk}`;

function putPointer(claim: Claim, key: Key): Write {
  return { kind: "put", item: rowOf(key, "pointer", { claim: claim.id }) };
}

/** A new claim with its pointers, for one transaction. */
export function addClaim(claim: Claim): readonly Write[] {
  const put: Write = { kind: "put", item: claimRow(claim), if: absent("pk") };
  return [put, ...pointersOf(claim).map((key) => putPointer(claim, key))];
}

/** Replaces a claim that is still in the state and under the fence it was read in. */
export function replaceClaim(before: Claim, after: Claim): Write {
  return { kind: "put", item: claimRow(after), if: unchanged(before) };
}

/** As {@link replaceClaim}, with the pointers that come or go by the change. */
export function moveClaim(before: Claim, after: Claim): readonly Write[] {
  const [had, has] = [pointersOf(before), pointersOf(after)];
  const isIn = (keys: readonly Key[], key: Key) => keys.some((one) => nameOf(one) === nameOf(key));
  return [
    replaceClaim(before, after),
    ...had.filter((key) => !isIn(has, key)).map((key): Write => ({ kind: "delete", key })),
    ...has.filter((key) => !isIn(had, key)).map((key) => putPointer(after, key)),
  ];
}

/** Ends a claim with its pointers. */
export function removeClaim(claim: Claim): readonly Write[] {
  const gone: Write = { kind: "delete", key: claimKey(claim.id), if: unchanged(claim) };
  return [gone, ...pointersOf(claim).map((key): Write => ({ kind: "delete", key }))];
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

/** Claims that wait for a card of this host, oldest first. */
export async function waitingClaims(store: Store, host: string): Promise<readonly Claim[]> {
  return await pointedAt(store, { pk: `HOST#${host}`, sk: { beginsWith: "WAIT#" } });
}

/** Claims of one instance by its pointers: consistent, and its cost does not grow with the fleet. */
export async function claimsOfInstance(store: Store, instance: string): Promise<readonly Claim[]> {
  return await pointedAt(store, { pk: `INSTANCE#${instance}` });
}

async function pointedAt(store: Store, where: Query): Promise<readonly Claim[]> {
  const page = await store.table.query({ ...where, consistent: true });
  const ids = page.items.map((item) => valueOf<{ readonly claim: string }>(item).claim);
  const rows = await store.table.getMany(ids.map(claimKey));
  return rows.flatMap((row) => (row === undefined ? [] : [valueOf<Claim>(row)]));
}
