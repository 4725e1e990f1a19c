import type { Deployable } from "#domain/deployable";
import type { Host } from "#domain/host";
import type { Image } from "#domain/image";
import type { Provider, Shape } from "#domain/providers/provider";
import { providersOf } from "#domain/providers/providers";
import type { OpenStack } from "#openstack/cloud";
import { PlacementClient } from "#openstack/placement/client";
import { deployablesOf } from "#store/deployables";
import { hostKey } from "#store/keys";
import { valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import { ImageShelf } from "./image-shelf.ts";

/** What keeping Placement up to date needs. */
export interface PlacementParts {
  readonly store: Store;
  readonly client: PlacementClient;
  readonly shape: Shape;
  /** All images: as of a moment ago, and as of now. */
  readonly images: {
    readonly recent: () => Promise<readonly Image[]>;
    readonly fresh: () => Promise<readonly Image[]>;
  };
  readonly log: (message: string) => void;
}

/** Parts of one process: what it remembers of names and images serves all hosts. */
export function placementParts(
  {
    store,
    openstack,
    shape,
  }: {
    readonly store: Store;
    readonly openstack: OpenStack;
    readonly shape: Shape;
  },
  log: (message: string) => void = console.warn,
): PlacementParts {
  const shelf = new ImageShelf(store);
  return {
    store,
    client: new PlacementClient(openstack),
    shape,
    images: {
      recent: async () => await shelf.recent(),
      fresh: async () => await shelf.fresh(),
    },
    log,
  };
}

/** One host as the table has it. */
export interface HostFacts {
  /** Undefined for a host that was removed, or that nobody ever made. */
  readonly name: string | undefined;
  readonly deployables: readonly Deployable[];
}

/** The host's name, read consistently; undefined once it is removed. */
export async function hostNameOf(store: Store, id: string): Promise<string | undefined> {
  const host = valueOrUndefined<Host>(await store.table.get(hostKey(id), { consistent: true }));
  return host === undefined || host.state === "removed" ? undefined : host.name;
}

/** The host and its deployables, read consistently. */
export async function hostFacts(store: Store, id: string): Promise<HostFacts> {
  const [name, deployables] = await Promise.all([hostNameOf(store, id), deployablesOf(store, id)]);
  return { name, deployables: name === undefined ? [] : deployables };
}

/** The host's providers as they should be; none once it is removed. */
export function wantedOf(
  { shape }: PlacementParts,
  { name, deployables }: HostFacts,
  images: readonly Image[],
): readonly Provider[] {
  return name === undefined ? [] : providersOf(shape, name, deployables, images);
}
