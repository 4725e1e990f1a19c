import type { OpenStack } from "#openstack/cloud";
import type { OwedAllocation } from "#store/allocations";
import type { Store } from "#store/store";
import type { Environment } from "../entry.ts";
import { settleOwed } from "../openstack/native-allocations.ts";
import { type PlacementParts, placementParts } from "../openstack/placement-parts.ts";
import { syncHost } from "../openstack/placement-sync.ts";
import { allocatingOver } from "./allocating-from.ts";
import { openstackFrom, openstackSettingsFrom } from "./openstack.ts";
import { storeFrom } from "./store.ts";

/** What keeps the services of a cloud up to date. */
export interface SecondSystems {
  readonly store: Store;
  readonly openstack: OpenStack;
  readonly placement: PlacementParts;
  readonly settleAllocation: (owed: OwedAllocation) => Promise<void>;
  readonly log: (message: string) => void;
}

/** The parts of this installation; undefined when no cloud is configured. */
export function secondSystems(environment: Environment): SecondSystems | undefined {
  const openstack = openstackFrom(environment);
  if (openstack === undefined) return undefined;
  const store = storeFrom(environment);
  const { shape } = openstackSettingsFrom(environment);
  const placement = placementParts({ store, openstack, shape });
  const sync = async (host: string) => await syncHost(placement, host);
  const allocating = allocatingOver(store, { openstack, shape }, sync);
  return {
    store,
    openstack,
    placement,
    settleAllocation: async (owed) => await settleOwed(allocating, owed),
    log: (message) => console.warn(message),
  };
}
