import { type Claim, isAwaited } from "#domain/claim";
import type { OpenStack } from "#openstack/cloud";
import { allocationOf } from "#openstack/placement/allocations";
import { PlacementClient } from "#openstack/placement/client";
import { claimsOfInstance, listAllClaims, readClaim } from "#store/claims";
import type { Store } from "#store/store";
import { allOf } from "../../parts/pages.ts";
import { type Check, type Finding, named, ok, skipped, warning } from "./check.ts";
import type { Owed } from "./owed.ts";

/** Whether Placement and we agree who has what. */
export interface Allocations {
  readonly store: Store;
  readonly openstack: OpenStack;
  readonly owed: () => Promise<Owed>;
}

/** Providers, and bound requests, that one check looks at. */
const most = 300;
/** Questions to Placement at a time. */
const parallel = 8;

export function allocationChecks(allocations: Allocations): readonly Check[] {
  return [
    { name: "allocations without a claim", look: async () => await strangers(allocations) },
    { name: "requests without an allocation", look: async () => await bare(allocations) },
  ];
}

async function strangers({ store, openstack, owed }: Allocations): Promise<readonly Finding[]> {
  const client = new PlacementClient(openstack);
  if (!(await client.wire.isThere())) return [skipped("there is no Placement")];
  const { hosts } = await owed();
  const providers = hosts.flatMap((host) => Object.keys(host.providers));
  const looked = providers.slice(0, most);
  const found = await each(looked, async (provider) => {
    const consumers = await client.consumers(provider);
    const own = await Promise.all(consumers.map(async (one) => await isOurs(store, one)));
    return consumers.filter((_, index) => own[index] === false);
  });
  const unknown = found.flat();
  const rest = providers.length - looked.length;
  const about = rest > 0 ? ` (the first ${most} of ${providers.length} providers)` : "";
  if (unknown.length === 0) return [ok(`every allocation has its claim${about}`)];
  const text = `allocations of our providers without a claim: ${named(unknown)}${about}`;
  return [
    warning(
      text,
      "a flavor that asks for the resource class without accel:device_profile takes cards that are never given: use a device profile; for what nobody knows: openstack resource provider allocation delete CONSUMER",
    ),
  ];
}

/** A native claim is its own consumer; an instance is one for all its requests. */
async function isOurs(store: Store, consumer: string): Promise<boolean> {
  if ((await readClaim(store, consumer)) !== undefined) return true;
  return (await claimsOfInstance(store, consumer)).length > 0;
}

async function bare({ store, openstack }: Allocations): Promise<readonly Finding[]> {
  const { wire } = new PlacementClient(openstack);
  if (!(await wire.isThere())) return [skipped("there is no Placement")];
  const claims = await allOf(async (wanted) => await listAllClaims(store, wanted));
  const bound = claims.filter((claim) => isAwaited(claim) && claim.state === "Bound");
  const looked = bound.slice(0, most);
  const found = await each(looked, async ({ id, instance = "", provider = "" }: Claim) => {
    const { providers } = await allocationOf(wire, instance);
    return providers[provider] === undefined ? [id] : [];
  });
  const without = found.flat();
  if (without.length === 0) return [ok(`${looked.length} bound requests have their allocation`)];
  return [
    warning(
      `bound requests whose instance has no allocation on their provider: ${named(without)}`,
      "Placement may give their cards to others: nova-manage placement heal_allocations, or delete the requests",
    ),
  ];
}

async function each<Of, Found>(
  all: readonly Of[],
  look: (one: Of) => Promise<Found>,
): Promise<readonly Found[]> {
  const found: Found[] = [];
  for (let at = 0; at < all.length; at += parallel) {
    found.push(...(await Promise.all(all.slice(at, at + parallel).map(look))));
  }
  return found;
}
