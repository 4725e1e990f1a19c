import type { Deployable } from "../deployable.ts";
import type { Count } from "../inventory.ts";

/** How deployables appear in Placement (design §9). */
export type Shape = "pool" | "tree" | "cyborg";

/** One inventory record as Placement keeps it. */
export interface Inventory {
  readonly total: number;
  readonly reserved: number;
  readonly min_unit: number;
  readonly max_unit: number;
  readonly step_size: number;
  readonly allocation_ratio: number;
}

/** One Placement provider as it should be. */
export interface Provider {
  /** Its uuid is uuid3(DNS, name): `#protocol/uuid` providerId. */
  readonly name: string;
  readonly resourceClass: string;
  readonly inventory: Inventory;
  readonly traits: readonly string[];
  /** Ids of the deployables it counts. */
  readonly members: readonly string[];
  /** Its units that claims hold; each has an allocation, so none of them is reserved. */
  readonly held: number;
  /** The only handle it stands for; absent where it stands for all handles of its members. */
  readonly handle?: string | undefined;
}

/** What one deployable, or one handle of it, adds to the provider of this name. */
export interface Part {
  readonly name: string;
  readonly resourceClass: string;
  readonly deployable: Deployable;
  readonly count: Count;
  readonly traits: readonly string[];
  readonly handle?: string | undefined;
}

/** Placement's longest provider name, in characters. */
const longest = 200;

/**
 * The parts of one name are one provider, so that no two of a host can share a name. Only a card
 * that took the place of another can meet a part of another class there: the present one counts,
 * and what the other still holds stays allocated where it is.
 */
export function merged(parts: readonly Part[]): readonly Provider[] {
  const counted = parts.filter(({ count }) => count.total > 0).toSorted(byPresence);
  const groups = Map.groupBy(counted, ({ name }) => fitting(name));
  return [...groups]
    .map(([name, [first, ...others]]) => {
      if (first === undefined) throw new RangeError("a group has members");
      const like = others.filter(({ resourceClass }) => resourceClass === first.resourceClass);
      return provider(name, [first, ...like]);
    })
    .toSorted((one, other) => compare(one.name, other.name));
}

function byPresence(one: Part, other: Part): number {
  const presence = Number(other.deployable.present) - Number(one.deployable.present);
  return presence || compare(one.deployable.id, other.deployable.id);
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}

function provider(name: string, parts: readonly [Part, ...Part[]]): Provider {
  const [{ resourceClass, handle }] = parts;
  const sum = (of: keyof Count) => parts.reduce((all, { count }) => all + count[of], 0);
  const [total, held] = [sum("total"), sum("held")];
  const isOneHandle = handle !== undefined && parts.length === 1;
  return {
    name,
    resourceClass,
    inventory: inventoryOf(total, total - held - sum("free")),
    traits: [...new Set(parts.flatMap(({ traits }) => traits))].toSorted(),
    members: [...new Set(parts.map(({ deployable }) => deployable.id))].toSorted(),
    held,
    ...(isOneHandle ? { handle } : {}),
  };
}

/** Units of which each is one handle; `reserved` of them may not be taken. */
export function inventoryOf(total: number, reserved: number): Inventory {
  return {
    total,
    reserved,
    min_unit: 1,
    max_unit: total,
    step_size: 1,
    allocation_ratio: 1,
  };
}

/** A name too long for Placement is cut; a checksum of all of it keeps it apart from others. */
function fitting(name: string): string {
  if (name.length <= longest) return name;
  let sum = 0x81_1c_9d_c5;
  for (const character of name) {
    sum = Math.imul(sum ^ (character.codePointAt(0) ?? 0), 0x01_00_01_93) >>> 0;
  }
  return `${name.slice(0, longest - 9)}_${sum.toString(16).padStart(8, "0")}`;
}
