import { type Deployable, heldHandles, isOfferable } from "#domain/deployable";
import type { Image } from "#domain/image";
import { handleCount, possibleTraits } from "#domain/inventory";
import { capacity } from "#domain/matching";

/** How many deployables have or could have a trait, and how many of those are on offer now. */
export interface TraitCount {
  readonly name: string;
  readonly deployables: number;
  readonly free: number;
}

/** Handles of one resource class: in all, on offer now, held by claims. */
export interface ClassCount {
  readonly name: string;
  readonly total: number;
  readonly free: number;
  readonly held: number;
}

/** Traits by name. `images` are all images: private ones never show, not even while loaded. */
export function traitCounts(
  deployables: readonly Deployable[],
  images: readonly Image[],
): readonly TraitCount[] {
  const counts = new Map<string, TraitCount>();
  for (const deployable of deployables.filter(isCounted)) {
    const free = isOfferable(deployable) ? 1 : 0;
    for (const name of new Set(possibleTraits(deployable, images))) {
      const known = counts.get(name) ?? { name, deployables: 0, free: 0 };
      counts.set(name, {
        name,
        deployables: known.deployables + 1,
        free: known.free + free,
      });
    }
  }
  return byName([...counts.values()]);
}

/** Resource classes by name. A deployable that is not shared counts as one handle. */
export function classCounts(deployables: readonly Deployable[]): readonly ClassCount[] {
  const classes = Map.groupBy(deployables.filter(isCounted), (one) => one.resourceClass);
  return byName(
    [...classes].map(([name, members]) => ({
      name,
      total: sum(members, handleCount),
      free: sum(members, freeOf),
      held: sum(members, (one) => heldHandles(one).length),
    })),
  );
}

/** A card that vanished counts only while a claim holds it. */
function isCounted(deployable: Deployable): boolean {
  return deployable.present || heldHandles(deployable).length > 0;
}

function freeOf(deployable: Deployable): number {
  return isOfferable(deployable) ? capacity(deployable) : 0;
}

function sum<Entry>(entries: readonly Entry[], of: (entry: Entry) => number): number {
  return entries.reduce((total, entry) => total + of(entry), 0);
}

function byName<Entry extends { readonly name: string }>(
  entries: readonly Entry[],
): readonly Entry[] {
  return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
