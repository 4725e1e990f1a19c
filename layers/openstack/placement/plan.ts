import type { Inventories, Ours, ProviderDetails } from "#domain/placement";
import { inventoryOf, type Provider } from "#domain/providers/provider";
import { sameContent } from "#domain/same";
import { providerId } from "#protocol/uuid";

/** One provider of ours as Placement holds it now. */
export interface HeldProvider extends ProviderDetails {
  readonly name: string;
  readonly parent: string | null;
  /** Others hang under it, so it cannot go. */
  readonly hasChildren: boolean;
  /** Units in use by class, where it matters; absent: none that matter. */
  readonly used?: Readonly<Record<string, number>> | undefined;
}

/** What a plan rests on. */
export interface Planning {
  /** The host's own provider. */
  readonly root: string;
  readonly held: ReadonlyMap<string, HeldProvider>;
  readonly wanted: readonly Provider[];
  /** What we put there before, by provider. */
  readonly ours: Readonly<Record<string, Ours>>;
}

/** One write to Placement. */
export type TreeWrite =
  | { readonly kind: "create"; readonly uuid: string; readonly name: string }
  | { readonly kind: "move"; readonly uuid: string; readonly name: string }
  | { readonly kind: "traits"; readonly uuid: string; readonly traits: readonly string[] }
  | { readonly kind: "inventories"; readonly uuid: string; readonly inventories: Inventories }
  | { readonly kind: "delete"; readonly uuid: string };

const nothing: Ours = { classes: [], traits: [] };

/**
 * The writes that make our providers what they should be, none when they are. What is given up goes
 * first, and what is added comes last, so that nothing is offered twice on the way.
 */
export function planTree(planning: Planning): readonly TreeWrite[] {
  const { held, ours } = planning;
  const wanted = withUsedElsewhere(planning);
  const names = new Set(wanted.map(({ name }) => providerId(name)));
  const left = Object.keys(ours)
    .filter((uuid) => !names.has(uuid))
    .toSorted()
    .flatMap((uuid) => giveUp(uuid, held.get(uuid), ours[uuid] ?? nothing));
  const kept = wanted
    .map((one) => ({ one, growth: growthOf(one, held.get(providerId(one.name))) }))
    .toSorted((a, b) => a.growth - b.growth)
    .flatMap(({ one }) => keep(one, planning));
  return [...left, ...kept];
}

/** Units it would have more to give than now. */
function growthOf({ resourceClass, inventory }: Provider, held: HeldProvider | undefined): number {
  const now = held?.inventories[resourceClass];
  return inventory.total - inventory.reserved - (now === undefined ? 0 : now.total - now.reserved);
}

/**
 * A unit that a claim holds is free in Placement while its allocation is on another provider: on one
 * that is no longer wanted, or in a class of before. As many are reserved until that allocation goes.
 */
function withUsedElsewhere({ held, wanted, ours }: Planning): readonly Provider[] {
  const classes = new Map(wanted.map((one) => [providerId(one.name), one.resourceClass]));
  let elsewhere = 0;
  for (const [uuid, { classes: own }] of Object.entries(ours)) {
    for (const name of own) {
      if (classes.get(uuid) !== name) elsewhere += held.get(uuid)?.used?.[name] ?? 0;
    }
  }
  return wanted.map((one) => {
    const used = held.get(providerId(one.name))?.used?.[one.resourceClass] ?? 0;
    const missing = Math.min(Math.max(0, one.held - used), elsewhere);
    elsewhere -= missing;
    if (missing === 0) return one;
    const { total, reserved } = one.inventory;
    return { ...one, inventory: inventoryOf(total, reserved + missing) };
  });
}

function keep(one: Provider, { root, held, ours }: Planning): readonly TreeWrite[] {
  const { name, resourceClass, inventory } = one;
  const uuid = providerId(name);
  const now = held.get(uuid);
  const own = ours[uuid] ?? nothing;
  const traits = [...new Set([...without(now?.traits ?? [], own.traits), ...one.traits])];
  const others = retained(now, own, [resourceClass]);
  return [
    ...placed(uuid, name, now, root),
    ...shown(uuid, traits.toSorted(), now),
    ...stocked(uuid, { ...others, [resourceClass]: inventory }, now),
  ];
}

function placed(
  uuid: string,
  name: string,
  now: HeldProvider | undefined,
  root: string,
): readonly TreeWrite[] {
  if (now === undefined) return [{ kind: "create", uuid, name }];
  const isPlaced = now.name === name && now.parent === root;
  return isPlaced ? [] : [{ kind: "move", uuid, name }];
}

/**
 * A provider that is not wanted goes, unless allocations are on it, or what others put there: then
 * ours is taken off it, and what is in use stays with nothing more to give.
 */
function giveUp(uuid: string, now: HeldProvider | undefined, own: Ours): readonly TreeWrite[] {
  if (now === undefined) return [];
  const isForeign = Object.keys(now.inventories).some((name) => !own.classes.includes(name));
  const isUsed = own.classes.some((name) => (now.used?.[name] ?? 0) > 0);
  if (!isForeign && !isUsed && !now.hasChildren) return [{ kind: "delete", uuid }];
  return [
    ...stocked(uuid, retained(now, own, []), now),
    ...(isUsed ? [] : shown(uuid, without(now.traits, own.traits), now)),
  ];
}

/** Foreign inventories as they are, and our own of before that are still in use. */
function retained(
  now: HeldProvider | undefined,
  own: Ours,
  wanted: readonly string[],
): Inventories {
  const kept = Object.entries(now?.inventories ?? {}).flatMap(([name, inventory]) => {
    if (wanted.includes(name)) return [];
    if (!own.classes.includes(name)) return [[name, inventory] as const];
    const used = now?.used?.[name] ?? 0;
    return used === 0 ? [] : [[name, inventoryOf(used, used)] as const];
  });
  return Object.fromEntries(kept);
}

function shown(
  uuid: string,
  traits: readonly string[],
  now: HeldProvider | undefined,
): readonly TreeWrite[] {
  const isSame = sameContent([...(now?.traits ?? [])].toSorted(), traits);
  return isSame ? [] : [{ kind: "traits", uuid, traits }];
}

function stocked(
  uuid: string,
  inventories: Inventories,
  now: HeldProvider | undefined,
): readonly TreeWrite[] {
  const isSame = sameContent(now?.inventories ?? {}, inventories);
  return isSame ? [] : [{ kind: "inventories", uuid, inventories }];
}

function without(names: readonly string[], taken: readonly string[]): readonly string[] {
  return names.filter((name) => !taken.includes(name));
}
