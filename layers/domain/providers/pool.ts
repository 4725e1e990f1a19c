import type { Deployable } from "../deployable.ts";
import type { Image } from "../image.ts";
import { countOf, possibleTraits } from "../inventory.ts";
import { customName } from "../traits.ts";
import type { Part } from "./provider.ts";

/** Like cards of a host are one provider: k of n is one easy question, and we choose the card. */
export function poolParts(
  hostName: string,
  deployables: readonly Deployable[],
  images: readonly Image[],
): readonly Part[] {
  return deployables.map((deployable) => ({
    name: `${hostName}_${poolOf(deployable)}`,
    resourceClass: deployable.resourceClass,
    deployable,
    count: countOf(deployable),
    traits: possibleTraits(deployable, images),
  }));
}

/**
 * Class, region, product and layout: a pool's name rests on its own facts alone, so that it stays
 * when another pool appears. PF and VF in the class say the layouts `pf` and `vfs` already.
 */
function poolOf({ resourceClass, interfaceId, product, layout }: Deployable): string {
  const isSaid = layout === "pf" || layout === "vfs";
  return [
    resourceClass,
    ...(interfaceId === undefined ? [] : [interfaceId]),
    customName(product).slice("CUSTOM_".length),
    ...(isSaid ? [] : [layout]),
  ].join("_");
}
