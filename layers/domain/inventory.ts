import { type Deployable, freeHandles, heldHandles, isLost, isOfferable } from "./deployable.ts";
import { type Image, isActive } from "./image.ts";
import { customName, imageTraits } from "./traits.ts";

/** One Placement provider as it should be (design §9, shape `pool`). */
export interface Provider {
  readonly name: string;
  readonly resourceClass: string;
  readonly inventory: {
    readonly total: number;
    readonly reserved: number;
    readonly min_unit: 1;
    readonly max_unit: number;
    readonly step_size: 1;
    readonly allocation_ratio: 1;
  };
  readonly traits: readonly string[];
}

/**
 * The providers of one host in the `pool` shape: like cards (class, product, region, layout) are
 * one child `<host>_<class>_<region>` with total = handles; `reserved` = those that may not be taken.
 * A card that vanished counts only while a claim holds it, as its allocation does.
 */
export function poolProviders(
  hostName: string,
  deployables: readonly Deployable[],
  images: readonly Image[],
): readonly Provider[] {
  const pools = Map.groupBy(
    deployables.filter((one) => one.present || heldHandles(one).length > 0),
    (one) => [one.resourceClass, one.product, one.interfaceId ?? "", one.layout].join("\n"),
  );
  const providers = [...pools.keys()]
    .toSorted()
    .map((key) => provider(hostName, pools.get(key) ?? [], images));
  return distinctNames(providers);
}

/** Pools that differ in product or layout only would share a name: the later ones are numbered. */
function distinctNames(providers: readonly Provider[]): readonly Provider[] {
  const seen = new Map<string, number>();
  return providers.map((one) => {
    const count = (seen.get(one.name) ?? 0) + 1;
    seen.set(one.name, count);
    return count === 1 ? one : { ...one, name: `${one.name}_${count}` };
  });
}

function provider(
  hostName: string,
  members: readonly Deployable[],
  images: readonly Image[],
): Provider {
  const [first] = members;
  if (first === undefined) throw new RangeError("a pool has members");
  const total = members.reduce((sum, one) => sum + handleCount(one), 0);
  const usable = members.reduce((sum, one) => sum + usableCount(one), 0);
  const region = first.interfaceId ?? customName(first.product).slice("CUSTOM_".length);
  return {
    name: `${hostName}_${first.resourceClass}_${region}`,
    resourceClass: first.resourceClass,
    inventory: {
      total,
      reserved: total - usable,
      min_unit: 1,
      max_unit: total,
      step_size: 1,
      allocation_ratio: 1,
    },
    traits: [...new Set(members.flatMap((one) => possibleTraits(one, images)))].toSorted(),
  };
}

/**
 * A deployable that is not shared counts once, whatever its number of handles. Those of another
 * layout do not count, unless a claim still holds one.
 */
export function handleCount({ sharing, handles }: Deployable): number {
  if (sharing === "none") return 1;
  return Object.values(handles).filter((one) => one.holder !== undefined || !isLost(one)).length;
}

function usableCount(deployable: Deployable): number {
  const held = heldHandles(deployable).length;
  const free = isOfferable(deployable) ? freeHandles(deployable).length : 0;
  return Math.min(handleCount(deployable), held + free);
}

/**
 * Traits a member shows: its hardware, what it has loaded while free, and what a compatible image
 * that is not private could make of it while free (private images never show).
 */
export function possibleTraits(
  deployable: Deployable,
  images: readonly Image[],
): readonly string[] {
  if (heldHandles(deployable).length > 0) {
    return [...deployable.traits, ...imageTraits(deployable.wish.image ?? {})];
  }
  const loadable = images.filter(
    (image) => isActive(image) && image.visibility !== "private" && isCompatible(deployable, image),
  );
  const { functionId, imageId } = deployable.loaded;
  const isHidden = images.some(({ id, visibility }) => id === imageId && visibility === "private");
  return [
    ...deployable.traits,
    ...imageTraits(isHidden ? {} : { functionId, type: deployable.loadedType }),
    ...loadable.flatMap((image) => imageTraits({ type: image.type })),
  ];
}

/** True when the image was made for this region or, if it names none, for this maker's cards. */
export function isCompatible(deployable: Deployable, image: Image): boolean {
  const { programmable, interfaceId, vendor } = deployable;
  const isMade =
    image.interfaceId === undefined
      ? customName(image.vendor) === customName(vendor)
      : image.interfaceId === interfaceId;
  return programmable && isMade;
}
