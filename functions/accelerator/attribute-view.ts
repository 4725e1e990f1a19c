import type { Deployable } from "#domain/deployable";
import { traitsWith } from "#domain/matching";
import { selfLink, timeOf } from "./links.ts";
import { attributeId, cyborgNumber } from "./uuids.ts";

/** One attribute of a deployable (cyborg.md §1.6). */
export interface Attribute {
  readonly id: string;
  readonly deployable: string;
  readonly key: string;
  readonly value: string;
  readonly createdAt: number;
  /** True for what an operator gave it; the rest follows from what the card is and has loaded. */
  readonly isCustom: boolean;
}

/** Its traits and resource class, then what operators gave it. */
export function attributesOf(deployable: Deployable, resourceClass: string): readonly Attribute[] {
  const { id, customTraits = [], updatedAt } = deployable;
  const given = customTraits.map((one) => ({ ...one, deployable: id, isCustom: true }));
  const said = new Set(given.map(({ value }) => value));
  const traits = [...traitsWith(deployable, undefined)].filter((trait) => !said.has(trait));
  const derived = [
    ...traits.toSorted().map((trait, index) => [`traits${index + 1}`, trait] as const),
    ["rc", resourceClass] as const,
  ];
  return [
    ...derived.map(([key, value]) => ({
      id: attributeId(id, key === "rc" ? "rc" : "trait", value),
      deployable: id,
      key,
      value,
      createdAt: deployable.createdAt ?? updatedAt,
      isCustom: false,
    })),
    ...given,
  ];
}

/** An attribute as Cyborg shows it, in its order of members. */
export function attributeView({ id, deployable, key, value, createdAt }: Attribute, base: string) {
  return {
    uuid: id,
    deployable_id: cyborgNumber(deployable),
    key,
    value,
    created_at: timeOf(createdAt),
    updated_at: null,
    links: [selfLink(base, "attributes", id)],
  };
}
