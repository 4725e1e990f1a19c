import type { StepOf } from "../step.ts";
import type { StepContext } from "./context.ts";

/** Downloads into the cache; touches no hardware. */
export async function fetchImage(step: StepOf<"fetch">, context: StepContext): Promise<void> {
  await context.equipment.images.fetch(step.image, context.work);
}

/** Checks the bytes and keeps exactly these for the program (host.md §6.2). */
export async function verifyImage(step: StepOf<"verify">, context: StepContext): Promise<void> {
  const { site, place, equipment } = context;
  site.verified = await equipment.images.verify(step.image, place);
}
