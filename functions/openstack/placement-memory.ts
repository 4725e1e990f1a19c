import type { Ours, RememberedTree } from "#domain/placement";
import type { Provider } from "#domain/providers/provider";
import type { Written } from "#openstack/placement/apply";
import { providerId } from "#protocol/uuid";

const nothing: Ours = { classes: [], traits: [] };

/**
 * What is ours once the plan for `wanted` is carried out, and still while it is under way: noted
 * before anything is written, so that a process that ends between leaves nothing nobody owns up to.
 */
export function beforehand(
  remembered: RememberedTree,
  wanted: readonly Provider[],
): RememberedTree {
  const added = wanted.map(({ name, resourceClass, traits }) => {
    const uuid = providerId(name);
    const known = remembered[uuid];
    const own = known?.ours ?? nothing;
    const ours = {
      classes: union(own.classes, [resourceClass]),
      traits: union(own.traits, traits),
    };
    return [uuid, { name, seen: known?.seen, ours }] as const;
  });
  return { ...remembered, ...Object.fromEntries(added) };
}

/** What is ours of what Placement holds now. */
export function afterwards(
  remembered: RememberedTree,
  wanted: readonly Provider[],
  held: ReadonlyMap<string, Written>,
): RememberedTree {
  const asked = new Map(wanted.map((one) => [providerId(one.name), one]));
  const kept = [...held].flatMap(([uuid, { name, generation, inventories, traits }]) => {
    const { classes, traits: shown } = remembered[uuid]?.ours ?? nothing;
    const one = asked.get(uuid);
    const own = classes.filter((resourceClass) => inventories[resourceClass] !== undefined);
    const ours =
      one === undefined
        ? { classes: own, traits: shown.filter((trait) => traits.includes(trait)) }
        : { classes: union(own, [one.resourceClass]), traits: one.traits };
    if (ours.classes.length === 0 && ours.traits.length === 0) return [];
    return [[uuid, { name, seen: { generation, inventories, traits }, ours }] as const];
  });
  return Object.fromEntries(kept);
}

function union(one: readonly string[], other: readonly string[]): readonly string[] {
  return [...new Set([...one, ...other])].toSorted();
}
