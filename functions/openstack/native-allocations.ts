import type { Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { isFault } from "#domain/faults";
import type { Provider } from "#domain/providers/provider";
import { providerId } from "#protocol/uuid";
import { type OwedAllocation, postponeAllocation, settleAllocation } from "#store/allocations";
import { readClaim } from "#store/claims";
import { confirmAllocation } from "#store/confirm";
import { deployablesOf } from "#store/deployables";
import { failBind } from "#store/release";
import type { Store } from "#store/store";

/** One claim's allocation in Placement: its consumer is the claim. */
export interface Allocation {
  readonly consumer: string;
  readonly project: string;
  readonly user: string;
  readonly provider: string;
  readonly resourceClass: string;
}

/** Placement, as far as native claims need it. */
export interface Allocator {
  /**
   * Makes all of these or none; those that are there already are fine. `full`: the provider has
   * promised what it has to others. OPENSTACK_UNAVAILABLE.
   */
  readonly take: (wanted: readonly Allocation[]) => Promise<"taken" | "full">;
  /** True while a consumer has an allocation. OPENSTACK_UNAVAILABLE. */
  readonly holds: (consumer: string) => Promise<boolean>;
  /** Drops a consumer's allocation, if there is one. OPENSTACK_UNAVAILABLE. */
  readonly drop: (consumer: string) => Promise<void>;
}

/** What making and dropping allocations of native claims needs. */
export interface Allocating {
  readonly store: Store;
  readonly allocator: Allocator;
  /** The providers of a host in the shape that is configured. */
  readonly providers: (hostName: string, deployables: readonly Deployable[]) => readonly Provider[];
  /**
   * Brings the host's providers up to date: what cannot be given again is reserved before its
   * allocation goes.
   * `waiting`: it could not be done now.
   */
  readonly syncHost: (host: string) => Promise<"same" | "written" | "waiting">;
  readonly log: (message: string) => void;
}

/** How a grant went on: `full` names the deployables of which Placement has no more to give. */
export type Taken =
  | { readonly kind: "taken"; readonly claims: readonly Claim[] }
  | { readonly kind: "full"; readonly deployables: readonly string[] }
  | { readonly kind: "later" };

/**
 * Makes the allocations of claims that were just granted on one host, and lets their wishes go to the
 * agent. `later`: Placement is away or does not know the host yet, and the clock goes on.
 */
export async function takeAllocations(
  allocating: Allocating,
  claims: readonly Claim[],
): Promise<Taken> {
  const { allocator, log } = allocating;
  try {
    const { wanted, members } = await wantedBy(allocating, claims);
    if (wanted.length < claims.length) return { kind: "later" };
    const answer = await allocator.take(wanted);
    if (answer === "full") return { kind: "full", deployables: members };
    return { kind: "taken", claims: await confirmAll(allocating, claims) };
  } catch (error) {
    if (!isFault(error, "OPENSTACK_UNAVAILABLE")) throw error;
    log(`allocation of ${claims.map(({ id }) => id).join(", ")} waits: ${error.message}`);
    return { kind: "later" };
  }
}

async function wantedBy(
  { store, providers }: Allocating,
  claims: readonly Claim[],
): Promise<{ readonly wanted: readonly Allocation[]; readonly members: readonly string[] }> {
  const host = claims[0]?.host;
  const deployables = host === undefined ? [] : await deployablesOf(store, host);
  const [first] = deployables;
  const known = first === undefined ? [] : providers(first.hostName, deployables);
  const found = claims.flatMap(({ id, project, user, deployable = "", handle: taken }) => {
    const provider = known.find(
      ({ members, handle }) => members.includes(deployable) && (handle ?? taken) === taken,
    );
    if (provider === undefined) return [];
    const { name, resourceClass } = provider;
    return [
      {
        provider,
        wanted: { consumer: id, project, user, provider: providerId(name), resourceClass },
      },
    ];
  });
  return {
    wanted: found.map(({ wanted }) => wanted),
    members: [...new Set(found.flatMap(({ provider }) => provider.members))],
  };
}

/** One that ended meanwhile gives its allocation back at once. */
async function confirmAll(
  { store, allocator }: Allocating,
  claims: readonly Claim[],
): Promise<readonly Claim[]> {
  const confirmed = await Promise.all(
    claims.map(async (claim) => {
      try {
        return await confirmAllocation(store, claim);
      } catch (error) {
        if (!isFault(error, "UNKNOWN_CLAIM")) throw error;
        await allocator.drop(claim.id);
        return claim;
      }
    }),
  );
  const [first] = claims;
  if (first?.host !== undefined) {
    const ids = claims.map(({ id }) => id);
    await settleAllocation(store, { order: "take", claims: ids, host: first.host });
  }
  return confirmed;
}

/** Wait before another try, in ms: as often as the clock comes. */
const againMs = 30_000;

/**
 * Settles what Placement is owed for native claims, made or dropped; an order that cannot be carried
 * out now comes again. Safe to repeat.
 */
export async function settleOwed(allocating: Allocating, owed: OwedAllocation): Promise<void> {
  const { store, log } = allocating;
  try {
    await (owed.order === "drop" ? dropOwed(allocating, owed) : takeOwed(allocating, owed));
  } catch (error) {
    if (!isFault(error, "OPENSTACK_UNAVAILABLE")) throw error;
    log(`Placement is owed ${owed.order} of ${owed.claims.join(", ")}: ${error.message}`);
    await postponeAllocation(store, owed, store.now() + againMs);
  }
}

/** A card that is not well by now is reserved first, so that nobody is promised it meanwhile. */
async function dropOwed(allocating: Allocating, owed: OwedAllocation): Promise<void> {
  const { store, allocator } = allocating;
  const held = await Promise.all(owed.claims.map(async (claim) => await allocator.holds(claim)));
  if (held.includes(true) && (await allocating.syncHost(owed.host)) === "waiting") {
    return await postponeAllocation(store, owed, store.now() + againMs);
  }
  for (const claim of owed.claims) await allocator.drop(claim);
  await settleAllocation(store, owed);
}

async function takeOwed(allocating: Allocating, owed: OwedAllocation): Promise<void> {
  const { store, allocator } = allocating;
  const read = await Promise.all(owed.claims.map(async (id) => await readClaim(store, id)));
  const pending = read.filter((claim) => claim?.allocation === "pending");
  const waiting = pending.flatMap((claim) => (claim === undefined ? [] : [claim]));
  const over = owed.claims.filter((_, index) => read[index]?.allocation === undefined);
  // Whoever made this order may have ended between the allocation and its note in the table.
  for (const id of over) await allocator.drop(id);
  if (waiting.length === 0) return await settleAllocation(store, owed);
  await allocating.syncHost(owed.host);
  const taken = await takeAllocations(allocating, waiting);
  if (taken.kind === "taken") return await settleAllocation(store, owed);
  if (taken.kind === "later") return await postponeAllocation(store, owed, store.now() + againMs);
  for (const { id } of waiting) {
    const message = "Placement has promised the capacity of this host to others";
    await failBind(store, id, { code: "NO_CAPACITY", message });
  }
  await settleAllocation(store, owed);
}
