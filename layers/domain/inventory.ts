import { comingHandles, type Deployable, heldHandles, isLost } from "./deployable.ts";
import { type Image, isActive } from "./image.ts";
import { customName, imageTraits, isTraitName } from "./traits.ts";

/**
 * Units in all, held by claims, and free to be taken: now, or as soon as the cleaning that is under
 * way is over, behind which a bind waits.
 */
export interface Count {
  readonly total: number;
  readonly held: number;
  readonly free: number;
}

/** False for a card that vanished and that no claim holds. */
export function isCounted(deployable: Deployable): boolean {
  return deployable.present || heldHandles(deployable).length > 0;
}

/**
 * A deployable that is not shared counts once, whatever its number of handles. Those of another
 * layout do not count, unless a claim still holds one.
 */
export function handleCount({ sharing, handles }: Deployable): number {
  if (sharing === "none") return 1;
  return Object.values(handles).filter((one) => one.holder !== undefined || !isLost(one)).length;
}

/** Its units in all, those that claims hold, and those that may be taken. */
export function countOf(deployable: Deployable): Count {
  const total = handleCount(deployable);
  const held = Math.min(total, heldHandles(deployable).length);
  const free = takeableHandles(deployable).length;
  return { total, held, free: Math.min(free, total - held) };
}

/** One that cannot be cleaned, such as a handle that a guest does not let go, is not coming. */
function takeableHandles(deployable: Deployable): readonly string[] {
  return comingHandles(deployable).filter((name) => {
    const handle = deployable.handles[name];
    return handle?.state === "free" || handle?.error === undefined;
  });
}

/** The same for one handle of a deployable that is shared. */
export function countOfHandle(deployable: Deployable, name: string): Count {
  const handle = deployable.handles[name];
  if (handle === undefined) return { total: 0, held: 0, free: 0 };
  if (handle.holder !== undefined) return { total: 1, held: 1, free: 0 };
  const isFree = takeableHandles(deployable).includes(name);
  return { total: isLost(handle) ? 0 : 1, held: 0, free: isFree ? 1 : 0 };
}

/**
 * Traits a member shows: its hardware and what an operator said of it, what it has loaded while free,
 * and what a compatible image that is not private could make of it while free (private images never
 * show). A held one shows its wanted image only.
 */
export function possibleTraits(
  deployable: Deployable,
  images: readonly Image[],
): readonly string[] {
  const own = [...deployable.traits, ...customTraits(deployable)];
  const isPrivate = (image: string | undefined) =>
    images.some(({ id, visibility }) => id === image && visibility === "private");
  const { wish, loaded, loadedType } = deployable;
  if (heldHandles(deployable).length > 0) {
    return isPrivate(wish.image?.id) ? own : [...own, ...imageTraits(wish.image ?? {})];
  }
  const loadable = images.filter(
    (image) => isActive(image) && image.visibility !== "private" && isCompatible(deployable, image),
  );
  const { functionId, imageId } = loaded;
  return [
    ...own,
    ...imageTraits(isPrivate(imageId) ? {} : { functionId, type: loadedType }),
    ...loadable.flatMap((image) => imageTraits({ type: image.type })),
  ];
}

/** Cyborg reads traits from attributes whose key starts with `trait` (cyborg.md §1.5). */
export function customTraits({ customTraits: attributes = [] }: Deployable): readonly string[] {
  return attributes
    .filter(({ key, value }) => key.startsWith("trait") && value.startsWith("CUSTOM_"))
    .map(({ value }) => value)
    .filter(isTraitName);
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
