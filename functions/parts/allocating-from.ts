import { Fault } from "#domain/faults";
import { providersOf } from "#domain/providers/providers";
import type { OpenStack } from "#openstack/cloud";
import { dropAllocation, hasAllocation, takeAllocations } from "#openstack/placement/allocations";
import { PlacementClient } from "#openstack/placement/client";
import { PlacementRefusal } from "#openstack/placement/refusal";
import type { Store } from "#store/store";
import type { Allocating, Allocation, Allocator } from "../openstack/native-allocations.ts";
import type { OpenStackSettings } from "./openstack.ts";

/** Placement's part in native claims, over a session with the cloud it belongs to. */
export function allocatingOver(
  store: Store,
  { openstack, shape }: { readonly openstack: OpenStack } & Pick<OpenStackSettings, "shape">,
  syncHost: Allocating["syncHost"],
): Allocating {
  return {
    store,
    allocator: allocatorOf(openstack),
    providers: (hostName, deployables) => providersOf(shape, hostName, deployables, []),
    syncHost,
    log: (message) => console.warn(message),
  };
}

/** A cloud without Placement agrees to everything. */
function allocatorOf(openstack: OpenStack): Allocator {
  const { wire } = new PlacementClient(openstack);
  return {
    async take(wanted) {
      if (!(await wire.isThere())) return "taken";
      const taken = await asFault(async () => await takeAllocations(wire, wanted.map(orderOf)));
      if (taken !== "conflict") return taken;
      const consumers = wanted.map(({ consumer }) => consumer).join(", ");
      throw new Fault("OPENSTACK_UNAVAILABLE", `placement: ${consumers} have other allocations`);
    },
    async holds(consumer) {
      if (!(await wire.isThere())) return false;
      return await asFault(async () => await hasAllocation(wire, consumer));
    },
    async drop(consumer) {
      if (!(await wire.isThere())) return;
      await asFault(async () => await dropAllocation(wire, consumer));
    },
  };
}

function orderOf({ consumer, project, user, provider, resourceClass }: Allocation) {
  return { consumer, project, user, providers: { [provider]: { [resourceClass]: 1 } } };
}

/** What Placement will not do now is tried again, as when it is away. */
async function asFault<Answer>(act: () => Promise<Answer>): Promise<Answer> {
  try {
    return await act();
  } catch (cause) {
    if (!(cause instanceof PlacementRefusal)) throw cause;
    throw new Fault("OPENSTACK_UNAVAILABLE", `placement: ${cause.message}`, {}, { cause });
  }
}
