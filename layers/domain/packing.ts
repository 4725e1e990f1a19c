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
 * when they do not all fit. Deployables of equal rank keep the order they are given in.
 */
export function pack(
  deployables: readonly Deployable[],
  groups: readonly GroupNeed[],
): readonly Pick[] | undefined {
  const left = new Map(
    deployables.map((one) => [one.id, freeHandles(one).slice(0, capacity(one))]),
  );
  const picks: Pick[] = [];
  for (const [group, { need, count }] of groups.entries()) {
    const chosen = take({ deployables, left, need, group }, count);
    if (chosen.length < count) return undefined;
    picks.push(...chosen);
  }
  return picks;
}

function take(
  from: {
    readonly deployables: readonly Deployable[];
    readonly left: Map<string, string[]>;
    readonly need: Requirement;
    readonly group: number;
  },
  count: number,
): readonly Pick[] {
  const candidates = from.deployables
    .filter((one) => fits(one, from.need))
    .toSorted((a, b) => rank(a, from.need) - rank(b, from.need));
  const picks: Pick[] = [];
  for (const candidate of candidates) {
    const free = from.left.get(candidate.id) ?? [];
    for (const handle of free.splice(0, count - picks.length)) {
      picks.push({ group: from.group, deployable: candidate.id, handle });
    }
    if (picks.length === count) break;
  }
  return picks;
}
