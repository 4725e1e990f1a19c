import type { Deployable } from "#domain/deployable";
import { isFault } from "#domain/faults";
import { countOf, isCounted } from "#domain/inventory";
import type { Provider } from "#domain/providers/provider";
import { providersOf } from "#domain/providers/providers";
import { providerId } from "#protocol/uuid";
import { deployablesOf, findDeployable } from "#store/deployables";
import type { Store } from "#store/store";
import { attributesOf } from "./attribute-view.ts";
import { notFound } from "./errors.ts";
import { bookmarkLink, changeOf, selfLink, timeOf } from "./links.ts";
import type { Accelerator } from "./parts.ts";
import { cyborgNumber, uuidArgument } from "./uuids.ts";

type Shape = Accelerator["settings"]["shape"];

/** A deployable with the Placement provider that it is a member of. */
export interface Placed {
  readonly deployable: Deployable;
  readonly provider: Provider | undefined;
}

/**
 * Deployables with their providers. Where a provider's name follows from its members alone nothing
 * else is read; Cyborg's names depend on the whole card.
 */
export async function placed(
  store: Store,
  shape: Shape,
  deployables: readonly Deployable[],
): Promise<readonly Placed[]> {
  const hosts = shape === "cyborg" ? [...new Set(deployables.map(({ host }) => host))] : [];
  const whole = new Map(
    await Promise.all(hosts.map(async (id) => [id, await deployablesOf(store, id)] as const)),
  );
  return deployables.map((deployable) => {
    const { id, host, hostName } = deployable;
    const providers = providersOf(shape, hostName, whole.get(host) ?? [deployable], []);
    return { deployable, provider: providers.find(({ members }) => members.includes(id)) };
  });
}

/** A deployable's name: Cyborg's is that of its provider, elsewhere host and place. */
export function nameOf({ deployable, provider }: Placed, shape: Shape): string {
  if (shape === "cyborg" && provider !== undefined) return provider.name;
  const { hostName, address, layout, region } = deployable;
  return `${hostName}_${address}${layout === "regions" ? `_${region}` : ""}`;
}

/** A deployable as Cyborg shows it, in its order of members (cyborg.md §1.5). */
export function deployableView(one: Placed, { shape, base }: { shape: Shape; base: string }) {
  const { deployable, provider } = one;
  const { id, loaded, updatedAt } = deployable;
  const createdAt = deployable.createdAt ?? updatedAt;
  const attributes = attributesOf(deployable, provider?.resourceClass ?? deployable.resourceClass);
  return {
    uuid: id,
    parent_id: null,
    root_id: null,
    name: nameOf(one, shape),
    num_accelerators: countOf(deployable).total,
    device_id: cyborgNumber(deployable.device),
    attributes_list: JSON.stringify(attributes.map(({ key, value }) => ({ [key]: value }))),
    rp_uuid: provider === undefined ? null : providerId(provider.name),
    driver_name: deployable.driver,
    bitstream_id: loaded.imageId ?? null,
    links: [selfLink(base, "deployables", id), bookmarkLink(base, "deployables", id)],
    created_at: timeOf(createdAt),
    updated_at: changeOf(createdAt, updatedAt),
  };
}

/** One deployable as it is shown. */
export async function shown(
  { binding: { store }, settings: { shape } }: Accelerator,
  deployable: Deployable,
  base: string,
) {
  const [one] = await placed(store, shape, [deployable]);
  return deployableView(one ?? { deployable, provider: undefined }, { shape, base });
}

/** The deployable of a uuid; 404, also when its card is gone. */
export async function deployableOf(store: Store, text: string): Promise<Deployable> {
  const id = uuidArgument(text);
  try {
    const deployable = await findDeployable(store, id);
    if (isCounted(deployable)) return deployable;
  } catch (error) {
    if (!isFault(error, "UNKNOWN_DEPLOYABLE")) throw error;
  }
  throw notFound("Deployable", id);
}
