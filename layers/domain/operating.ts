import {
  type CustomTrait,
  type Deployable,
  heldHandles,
  isPending,
  type WantedImage,
} from "./deployable.ts";
import { mark, program, retry } from "./transitions.ts";

/** What an operator does to a deployable: pure moves that raise its revision by one or leave it as it is. */

/** Offers it again; a card whose last generation failed and that nobody holds is scrubbed anew. */
export function enable(deployable: Deployable, now: number): Deployable {
  const marked = mark(deployable, { enabled: true }, now);
  const isFree = heldHandles(marked).length === 0;
  const failed = marked.outcome.result === "failed" && isFree;
  return failed && !isPending(marked) ? retry(marked, now) : marked;
}

/** Takes it off offer; claims on it go on. */
export function disable(deployable: Deployable, now: number): Deployable {
  return mark(deployable, { enabled: false }, now);
}

/**
 * Loads an image on a card that nobody holds, as after a release: scrubbed first where the card is
 * erased as a whole, so that it is offered again as soon as it is loaded.
 */
export function preload(deployable: Deployable, image: WantedImage, now: number): Deployable {
  const scrub = deployable.scrubMethod === "erase" ? { scrub: "erase" as const } : {};
  return program(deployable, { ...scrub, image }, now);
}

/** Adds an attribute that an operator gives it. */
export function addCustomTrait(
  deployable: Deployable,
  added: CustomTrait,
  now: number,
): Deployable {
  const customTraits = [...(deployable.customTraits ?? []), added];
  return { ...deployable, customTraits, revision: deployable.revision + 1, updatedAt: now };
}

/** Takes an attribute off again; the same object when it has none of this id. */
export function removeCustomTrait(deployable: Deployable, id: string, now: number): Deployable {
  const customTraits = (deployable.customTraits ?? []).filter((one) => one.id !== id);
  if (customTraits.length === (deployable.customTraits ?? []).length) return deployable;
  return { ...deployable, customTraits, revision: deployable.revision + 1, updatedAt: now };
}
