import type { Deployable } from "./deployable.ts";
import { freeHandles } from "./deployable.ts";
import { capacity, misfits, obstacles, type Requirement, rank } from "./matching.ts";

/** So many handles of one kind; a request has one group or, by profile, several. */
export interface GroupNeed {
  readonly need: Requirement;
  readonly count: number;
}

/** One handle chosen for one group. */
export interface Pick {
  readonly group: number;
  readonly deployable: string;
  readonly handle: string;
}

/** True when one handle of the deployable can be granted for the need now. */
export function fits(deployable: Deployable, need: Requirement): boolean {
  return misfits(deployable, need).length === 0 && obstacles(deployable, need).length === 0;
}

/**
 * Chooses handles for all groups from the deployables of one host, best rank first, or undefined
 * when they do not all fit. Deployables of equal rank keep the order they are given in. Picks come
 * in group order. A later group may move an earlier one to another handle that fits it as well, so
 * a picky group is not lost to one that could have gone elsewhere.
 */
export function pack(
  deployables: readonly Deployable[],
  groups: readonly GroupNeed[],
): readonly Pick[] | undefined {
  const seats = groups.map(({ need }) => seatsFor(deployables, need));
  const slots = groups.flatMap(({ need, count }, group): readonly Slot[] =>
    Array.from({ length: count }, () => ({
      group,
      image: need.image?.id,
      seats: seats[group] ?? [],
    })),
  );
  const taken: Taken = new Map();
  for (const slot of slots) {
    if (!seat(slot, taken, new Set())) return undefined;
  }
  const seatOf = new Map([...taken.values()].map((one) => [one.slot, one.seat]));
  return slots.flatMap((slot) => {
    const { deployable, handle } = seatOf.get(slot) ?? {};
    return deployable === undefined || handle === undefined
      ? []
      : [{ group: slot.group, deployable, handle }];
  });
}

/** A handle, as something that one slot can take. */
interface Seat {
  readonly deployable: string;
  readonly handle: string;
}

/** One wanted handle with the seats that fit it, best first. */
interface Slot {
  readonly group: number;
  readonly image: string | undefined;
  readonly seats: readonly Seat[];
}

type Taken = Map<string, { readonly slot: Slot; readonly seat: Seat }>;

const keyOf = ({ deployable, handle }: Seat) => `${deployable}\n${handle}`;

function seatsFor(deployables: readonly Deployable[], need: Requirement): readonly Seat[] {
  return deployables
    .filter((one) => fits(one, need))
    .toSorted((a, b) => rank(a, need) - rank(b, need))
    .flatMap((one) =>
      freeHandles(one)
        .slice(0, capacity(one))
        .map((handle) => ({ deployable: one.id, handle })),
    );
}

/** Gives the slot a free seat or, moving others along, one that is taken (augmenting path). */
function seat(slot: Slot, taken: Taken, tried: Set<string>): boolean {
  const open = slot.seats.filter((one) => isOneImage(slot, one, taken));
  const free = open.find((one) => !taken.has(keyOf(one)));
  if (free !== undefined) {
    taken.set(keyOf(free), { slot, seat: free });
    return true;
  }
  for (const one of open) {
    const key = keyOf(one);
    const sitting = taken.get(key);
    if (sitting === undefined || tried.has(key)) continue;
    tried.add(key);
    taken.set(key, { slot, seat: one });
    if (seat(sitting.slot, taken, tried)) return true;
    taken.set(key, sitting);
  }
  return false;
}

/** A deployable holds one image: handles of it go to slots that want the same one. */
function isOneImage(slot: Slot, wanted: Seat, taken: Taken): boolean {
  return [...taken.values()].every(
    (one) =>
      one.seat.deployable !== wanted.deployable ||
      one.slot.image === slot.image ||
      keyOf(one.seat) === keyOf(wanted),
  );
}
