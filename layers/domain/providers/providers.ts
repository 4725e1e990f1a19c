import type { Deployable } from "../deployable.ts";
import type { Image } from "../image.ts";
import { isCounted } from "../inventory.ts";
import { cyborgParts } from "./cyborg.ts";
import { poolParts } from "./pool.ts";
import { merged, type Provider, type Shape } from "./provider.ts";
import { treeParts } from "./tree.ts";

/**
 * The child providers of one host, by name. `images` are all images, also private ones: what is
 * private never shows. A card that vanished counts only while a claim holds it, as its allocation does.
 */
export function providersOf(
  shape: Shape,
  hostName: string,
  deployables: readonly Deployable[],
  images: readonly Image[],
): readonly Provider[] {
  const counted = deployables.filter(isCounted);
  switch (shape) {
    case "pool":
      return merged(poolParts(hostName, counted, images));
    case "tree":
      return merged(treeParts(hostName, counted, images));
    case "cyborg":
      return merged(cyborgParts(hostName, counted, images));
    default:
      return shape satisfies never;
  }
}
