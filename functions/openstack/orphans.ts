import { type Claim, isAwaited } from "#domain/claim";
import { isFault } from "#domain/faults";
import type { OpenStack } from "#openstack/cloud";
import { allServers, isServerGone } from "#openstack/nova";
import { listAllClaims } from "#store/claims";
import { releaseClaim } from "#store/release";
import type { Store } from "#store/store";

/** A request is left alone for this long after its last change: its instance may be on its way. */
const settledMs = 10 * 60_000;

/** What looking for forgotten requests needs. */
export interface Reconciling {
  readonly store: Store;
  readonly openstack: OpenStack;
  readonly log: (message: string) => void;
}

/**
 * Releases the requests of instances that Nova does not know any more (design §9): those that its
 * list of all servers lacks, each asked for once more by itself. A Nova that cannot be read releases
 * nothing. Returns how many were released.
 */
export async function releaseOrphans(reconciling: Reconciling): Promise<number> {
  const { store, openstack, log } = reconciling;
  const claims = await boundClaims(store);
  if (claims.length === 0 || (await openstack.endpoint("compute")) === undefined) return 0;
  const servers = await allServers(openstack);
  if (servers === undefined) {
    log("Nova's servers could not be listed: no request is taken for forgotten");
    return 0;
  }
  let released = 0;
  for (const claim of claims) {
    const { id, instance = "" } = claim;
    if (servers.has(instance) || !(await isServerGone(openstack, instance))) continue;
    log(`releasing ${id}: Nova knows no instance ${instance}`);
    if (await releaseUnchanged(store, claim)) released += 1;
  }
  return released;
}

async function boundClaims(store: Store): Promise<readonly Claim[]> {
  const latest = store.now() - settledMs;
  const found: Claim[] = [];
  let after: string | undefined;
  do {
    const page = await listAllClaims(store, { limit: 200, after });
    found.push(...page.items.filter((one) => isAwaited(one) && one.updatedAt <= latest));
    after = page.next;
  } while (after !== undefined);
  return found;
}

/** One that was deleted meanwhile needs nothing more. */
async function releaseUnchanged(store: Store, claim: Claim): Promise<boolean> {
  try {
    await releaseClaim(store, claim);
    return true;
  } catch (error) {
    if (isFault(error, "UNKNOWN_CLAIM")) return false;
    throw error;
  }
}
