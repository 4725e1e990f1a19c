import type { Deployable } from "../deployable.ts";
import type { Image } from "../image.ts";
import { countOf, possibleTraits } from "../inventory.ts";
import type { Part } from "./provider.ts";

/** One provider per deployable, `<host>_<bdf>`, and with its region where a card has several. */
export function treeParts(
  hostName: string,
  deployables: readonly Deployable[],
  images: readonly Image[],
): readonly Part[] {
  return deployables.map((deployable) => {
    const { address, layout, region, resourceClass } = deployable;
    const place = layout === "regions" ? `${address}_${region}` : address;
    return {
      name: `${hostName}_${place}`,
      resourceClass,
      deployable,
      count: countOf(deployable),
      traits: possibleTraits(deployable, images),
    };
  });
}
