import { type Claim, maxCount } from "#domain/claim";
import type { Demand } from "#domain/demand";
import type { Deployable } from "#domain/deployable";
import { Fault, isFault } from "#domain/faults";
import type { CreateClaim } from "#protocol/http/claims";
import { isUuid, uuidOf } from "#protocol/uuid";
import type { GrantGroup, GrantRequest } from "#store/grant";
import { type Granted, grantClaims, lookAhead } from "#store/granting";
import { recall } from "#store/idempotency";
import { idempotencyKey } from "#store/keys";
import type { LargePools } from "#store/pool";
import { releaseClaim } from "#store/release";
import type { Write } from "#store/table";
import { type Allocating, takeAllocations } from "../openstack/native-allocations.ts";
import { type Resolving, resolveClaim } from "../parts/claiming.ts";
import { refusal } from "../parts/refusal.ts";
import type { Settings } from "../parts/settings.ts";
import type { Call } from "./call.ts";

/** What claims are made with, and what is remembered between calls. */
export interface Claiming extends Resolving {
  readonly settings: Pick<Settings, "bindDeadlineMs" | "defaultQuota">;
  readonly large: LargePools;
  /** What this process was asked for of late; without it any card that must be programmed serves as well. */
  readonly demand?: Demand;
  /** Placement has to agree to each claim, where there is one. */
  readonly allocating?: Allocating | undefined;
}

type CreateCall = Call<CreateClaim>;

/**
 * Grants what a request asks for, or answers a repeated one as the first time, whatever happened
 * since to what it named. NO_CAPACITY with the explanation, OVER_QUOTA, UNKNOWN_… and
 * INVALID_REQUEST naming the field, IDEMPOTENCY_MISMATCH, TRY_AGAIN.
 */
export async function createClaims(claiming: Claiming, call: CreateCall): Promise<Granted> {
  try {
    return await grantAny(claiming, call);
  } catch (error) {
    if (!isFault(error)) throw error;
    const first = await recall<{ readonly claims: readonly Claim[] }>(claiming.store, call.once);
    if (first === undefined) throw error;
    return { claims: first.claims, replayed: true };
  }
}

/** Times a request is granted anew elsewhere, because Placement had promised the place to others. */
const mostPlaces = 4;

/** Grants until Placement agrees, or is not there to ask: then the claims wait for it. */
async function grantAny(claiming: Claiming, call: CreateCall): Promise<Granted> {
  const avoid = new Set<string>();
  for (let place = 0; place < mostPlaces; place += 1) {
    const granted = await grantOne(claiming, call, avoid);
    if (granted.replayed || claiming.allocating === undefined) return granted;
    const taken = await takeAllocations(claiming.allocating, granted.claims);
    if (taken.kind === "later") return granted;
    if (taken.kind === "taken") return { ...granted, claims: taken.claims };
    for (const id of taken.deployables) avoid.add(id);
    const forget: Write = { kind: "delete", key: idempotencyKey(call.once.id) };
    for (const claim of granted.claims) await releaseClaim(claiming.store, claim, () => [forget]);
  }
  throw new Fault("TRY_AGAIN", "Placement promised every place to others", {
    retryAfterSeconds: 1,
  });
}

async function grantOne(
  claiming: Claiming,
  call: CreateCall,
  avoid: ReadonlySet<string>,
): Promise<Granted> {
  const { body, caller } = call;
  const [alternatives, seen] = await Promise.all([
    resolveClaim(claiming, body, caller),
    candidatesOf(claiming, call),
  ]);
  const refused: (readonly GrantGroup[])[] = [];
  for (const wanted of alternatives) {
    const groups = wanted.map((one) => ({ ...one, need: { ...one.need, avoid } }));
    const granted = await grantAlternative(claiming, call, groups, seen);
    if (granted === "outdated") continue;
    if (granted !== undefined) return granted;
    refused.push(groups);
  }
  // The name may be another host's by now: the next request looks again.
  if (body.host !== undefined) claiming.hosts.delete(body.host);
  const [groups] = refused;
  if (groups !== undefined) throw await refusal(claiming.store, groups);
  throw new Fault("UNKNOWN_TYPE", `no active image of type ${body.type ?? ""}`, { field: "type" });
}

/** `outdated`: the image was chosen by its type and is not active any more, so another may serve. */
async function grantAlternative(
  claiming: Claiming,
  call: CreateCall,
  groups: readonly GrantGroup[],
  seen: readonly Deployable[],
): Promise<Granted | "outdated" | undefined> {
  const { store, large, catalogue } = claiming;
  try {
    return await grantClaims(store, requestOf(claiming, call, groups), large, seen);
  } catch (error) {
    if (!isFault(error, "IMAGE_NOT_ACTIVE")) throw error;
    for (const { image } of groups) catalogue.forget(image);
    if (call.body.type === undefined || call.body.image !== undefined) throw error;
    return "outdated";
  }
}

/** What can be looked up while the image is being read; nothing when that would save no wait. */
async function candidatesOf(
  { store, catalogue, hosts, large }: Claiming,
  { body, caller }: CreateCall,
): Promise<readonly Deployable[]> {
  const { resourceClass, deployable, host: named } = body;
  if (resourceClass === undefined || deployable !== undefined) return [];
  if (!catalogue.mustRead(body, caller)) return [];
  const host = named === undefined || isUuid(named) ? named : hosts.get(named);
  if (named !== undefined && host === undefined) return [];
  return await lookAhead(store, { resourceClass, host }, large);
}

function requestOf(
  { settings, allocating, demand }: Claiming,
  { body, caller, once }: CreateCall,
  groups: readonly GrantGroup[],
): GrantRequest {
  const count = groups.reduce((sum, group) => sum + group.count, 0);
  checkCount(count);
  const { instance, leaseSeconds, profile } = body;
  return {
    project: caller.project,
    user: caller.user,
    claimIds: Array.from({ length: count }, (_, index) => uuidOf("claim", once.id, String(index))),
    groups,
    instance,
    leaseSeconds,
    profile,
    once,
    ...(demand === undefined ? {} : { demand }),
    ...(allocating === undefined ? {} : { allocating: true }),
    ...settings,
  };
}

function checkCount(count: number): void {
  if (count <= maxCount) return;
  throw new Fault("INVALID_REQUEST", `profile: asks for ${count} handles at once`, {
    field: "profile",
    expected: `at most ${maxCount} handles`,
  });
}
