import { type Claim, silentAfterMs } from "#domain/claim";
import type { Demand } from "#domain/demand";
import type { Deployable } from "#domain/deployable";
import { Fault } from "#domain/faults";
import { type ActiveImage, wantedImage } from "#domain/image";
import type { GroupNeed, Pick } from "#domain/packing";
import { grant, type Taker } from "#domain/transitions";
import { oweTake } from "#store/allocations";
import { addClaim } from "#store/claims";
import { deployableRow, isUnchanged } from "#store/deployables";
import { all, eq, ge } from "#store/expression";
import { type Once, rememberOnce, replayed } from "#store/idempotency";
import { imageStillActive } from "#store/images";
import { beatKey, claimKey } from "#store/keys";
import { openQuota, overQuota, quotaOf, takeQuota } from "#store/quotas";
import { valueOf } from "#store/rows";
import type { Store } from "#store/store";
import type { Failure, Item, Write } from "#store/table";

/** One group of a request: what, how many, and the image to load on each. */
export interface GrantGroup extends GroupNeed {
  readonly image?: ActiveImage | undefined;
}

export interface GrantRequest {
  readonly project: string;
  readonly user: string;
  /** One id per handle, in group order: deterministic, so a repeated request names the same claims. */
  readonly claimIds: readonly string[];
  readonly groups: readonly GrantGroup[];
  readonly instance?: string | undefined;
  readonly leaseSeconds?: number | undefined;
  readonly profile?: string | undefined;
  readonly once: Once;
  readonly bindDeadlineMs: number;
  /** Placement must agree before the agent hears of it (design §9). */
  readonly allocating?: boolean | undefined;
  readonly defaultQuota: number;
  /** What was asked for of late: by it an image that is seldom wanted makes room for this one. */
  readonly demand?: Demand | undefined;
}

/** Handles chosen on one host, with the deployables as they were read. */
export interface Choice {
  readonly host: string;
  readonly picks: readonly Pick[];
  readonly deployables: ReadonlyMap<string, Deployable>;
}

/** How one try ended: `lost` names deployables that changed, with the row that won when known. */
export type Attempt =
  | {
      readonly kind: "granted";
      readonly claims: readonly Claim[];
      /** As they are now, so that nobody has to read them again. */
      readonly deployables: readonly Deployable[];
    }
  | { readonly kind: "replayed"; readonly claims: readonly Claim[] }
  | { readonly kind: "lost"; readonly changed: ReadonlyMap<string, Deployable | undefined> }
  | { readonly kind: "host silent" }
  | { readonly kind: "conflict" }
  | { readonly kind: "again" };

/** Most rows of one DynamoDB transaction (reference/serverless.md). */
const maxWrites = 100;

interface Row {
  readonly write: Write;
  /** What a failure of this row's condition means. */
  readonly lost: (failure: Item | undefined) => Promise<Attempt> | Attempt;
}

/**
 * One transaction (design §4): deployables still as read, host heard within 120 s, claims new,
 * quota left, images active, request not made before. All or nothing.
 * Throws OVER_QUOTA, IMAGE_NOT_ACTIVE, IDEMPOTENCY_MISMATCH.
 */
export async function tryGrant(
  store: Store,
  request: GrantRequest,
  choice: Choice,
): Promise<Attempt> {
  const now = store.now();
  const after = grantedDeployables(request, choice, now);
  const claims = request.claimIds.map((id, index) =>
    newClaim(request, { id, pick: choice.picks[index] }, after, now),
  );
  const rows = [
    onceRow(request, claims, now),
    ...claimRows(store, claims),
    ...quotaRows(store, request, claims),
    ...imageRows(request),
    beatRow(choice.host, now),
    ...deployableRows(choice, after),
    ...takeRows(request, claims, now),
  ];
  checkSize(rows);
  const result = await store.table.write(rows.map((row) => row.write));
  if (result.ok) return { kind: "granted", claims, deployables: [...after.values()] };
  return await meaning(rows, result.failures);
}

/** 32 handles for an instance fill a transaction when they share class and image; more kinds do not fit. */
function checkSize(rows: readonly Row[]): void {
  if (rows.length <= maxWrites) return;
  throw new Fault("INVALID_REQUEST", "so many handles of so many kinds cannot be granted at once", {
    field: "groups",
    expected: `${rows.length - maxWrites} rows less in one transaction: fewer handles, classes or images`,
  });
}

async function meaning(
  rows: readonly Row[],
  failures: readonly (Failure | undefined)[],
): Promise<Attempt> {
  const changed = new Map<string, Deployable | undefined>();
  let conflict = false;
  for (const [index, row] of rows.entries()) {
    const failure = failures[index];
    conflict ||= failure?.reason === "conflict";
    if (failure?.reason !== "condition") continue;
    const attempt = await row.lost(failure.item);
    if (attempt.kind !== "lost") return attempt;
    for (const [id, winner] of attempt.changed) changed.set(id, winner);
  }
  return changed.size === 0 && conflict ? { kind: "conflict" } : { kind: "lost", changed };
}

function grantedDeployables(
  request: GrantRequest,
  choice: Choice,
  now: number,
): ReadonlyMap<string, Deployable> {
  const takers = choice.picks.map((pick, index) => ({
    pick,
    claim: request.claimIds[index] ?? "",
  }));
  const after = new Map<string, Deployable>();
  for (const [id, before] of choice.deployables) {
    const mine = takers.filter(({ pick }) => pick.deployable === id);
    const [first] = mine;
    if (first === undefined) continue;
    const image = request.groups[first.pick.group]?.image;
    const taken = mine.map(
      ({ pick, claim }): Taker => ({
        claim,
        project: request.project,
        instance: request.instance,
        handle: pick.handle,
        ...(request.allocating === true ? { allocating: true } : {}),
      }),
    );
    after.set(id, grant(before, taken, image && wantedImage(image), now));
  }
  return after;
}

function newClaim(
  request: GrantRequest,
  chosen: { readonly id: string; readonly pick: Pick | undefined },
  deployables: ReadonlyMap<string, Deployable>,
  now: number,
): Claim {
  const { pick } = chosen;
  const deployable = pick && deployables.get(pick.deployable);
  const handle = pick && deployable?.handles[pick.handle];
  if (pick === undefined || deployable === undefined || handle === undefined) {
    throw new RangeError("one pick for every claim");
  }
  const lease = request.leaseSeconds;
  return {
    id: chosen.id,
    project: request.project,
    user: request.user,
    state: "BindStarted",
    resourceClass: deployable.resourceClass,
    instance: request.instance,
    host: deployable.host,
    deployable: deployable.id,
    handle: pick.handle,
    fence: handle.fence,
    pciAddress: handle.address,
    image: request.groups[pick.group]?.image?.id,
    profile: request.profile,
    group: pick.group,
    ...(request.allocating === true ? { allocation: "pending" as const } : {}),
    deadline: now + request.bindDeadlineMs,
    leaseSeconds: lease,
    leaseUntil: lease === undefined ? undefined : now + lease * 1000,
    createdAt: now,
    updatedAt: now,
  };
}

function onceRow(request: GrantRequest, claims: readonly Claim[], now: number): Row {
  return {
    write: rememberOnce(request.once, { claims }, now),
    lost: (item) =>
      item === undefined
        ? { kind: "again" }
        : {
            kind: "replayed",
            claims: replayed<{ claims: readonly Claim[] }>(request.once, item).claims,
          },
  };
}

/** A claim of this id that exists was granted to this very request before: its rows are the answer. */
function claimRows(store: Store, claims: readonly Claim[]): readonly Row[] {
  const lost = async (): Promise<Attempt> => {
    const rows = await store.table.getMany(claims.map(({ id }) => claimKey(id)));
    const found = rows.flatMap((row) => (row === undefined ? [] : [valueOf<Claim>(row)]));
    return { kind: "replayed", claims: found };
  };
  return claims.flatMap((claim) => addClaim(claim).map((write) => ({ write, lost })));
}

function takeRows(
  { allocating }: GrantRequest,
  claims: readonly Claim[],
  now: number,
): readonly Row[] {
  const writes = allocating === true ? oweTake(claims, now) : [];
  return writes.map((write) => ({ write, lost: () => ({ kind: "again" }) }));
}

function quotaRows(store: Store, request: GrantRequest, claims: readonly Claim[]): readonly Row[] {
  const { project, defaultQuota } = request;
  return [...Map.groupBy(claims, (claim) => claim.resourceClass)].map(([resourceClass, taken]) => ({
    write: takeQuota(project, resourceClass, taken.length),
    lost: async (item): Promise<Attempt> => {
      if (item !== undefined) throw overQuota(quotaOf(item), taken.length);
      await openQuota(store, { project, resourceClass }, defaultQuota);
      return { kind: "again" };
    },
  }));
}

function imageRows(request: GrantRequest): readonly Row[] {
  const ids = new Set(
    request.groups.flatMap(({ image }) => (image === undefined ? [] : [image.id])),
  );
  return [...ids].map((id) => ({
    write: imageStillActive(id),
    lost: () => {
      throw new Fault("IMAGE_NOT_ACTIVE", `image ${id} is not active any more`, { field: "image" });
    },
  }));
}

function beatRow(host: string, now: number): Row {
  const heard = all(eq("state", "online"), ge("seenAt", now - silentAfterMs));
  return {
    write: { kind: "check", key: beatKey(host), if: heard },
    lost: () => ({ kind: "host silent" }),
  };
}

function deployableRows(choice: Choice, after: ReadonlyMap<string, Deployable>): readonly Row[] {
  return [...after].map(([id, granted]) => {
    const before = choice.deployables.get(id);
    if (before === undefined) throw new RangeError("a granted deployable was read");
    const pool = deployableRow(before)["gsi1pk"];
    return {
      write: {
        kind: "put",
        item: deployableRow(granted),
        if: all(isUnchanged(before), eq("gsi1pk", pool ?? "")),
      },
      lost: (winner): Attempt => ({
        kind: "lost",
        changed: new Map([[id, winner === undefined ? undefined : valueOf<Deployable>(winner)]]),
      }),
    };
  });
}
