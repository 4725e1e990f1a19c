import * as z from "zod/mini";
import { claimStates } from "#domain/lifecycle";

/** What an event says to a program that judges the history; `was…` is how it stood before. */

const counter = z.int().check(z.minimum(0));
const claimState = z.enum(claimStates);

const claimFacts = z.object({
  about: z.literal("claim"),
  was: z.optional(claimState),
  is: z.optional(claimState),
  resourceClass: z.string(),
  handle: z.optional(z.string()),
  fence: z.optional(counter),
  wasHandle: z.optional(z.string()),
  wasFence: z.optional(counter),
  wasProject: z.optional(z.string()),
  changedAt: z.optional(counter),
});

const handle = {
  state: z.enum(["free", "claimed", "plugged", "releasing"]),
  fence: counter,
  claim: z.optional(z.string()),
  project: z.optional(z.string()),
};

const deployableFacts = z.object({
  about: z.literal("deployable"),
  revision: counter,
  imageGeneration: counter,
  wasImageGeneration: z.optional(counter),
  state: z.string(),
  wasState: z.optional(z.string()),
  clean: z.boolean(),
  wasClean: z.optional(z.boolean()),
  wasHeld: z.optional(counter),
  held: counter,
  loaded: z.nullable(z.string()),
  scrubMethod: z.optional(z.string()),
  device: z.string(),
  layout: z.string(),
  reported: z.boolean(),
  settled: z.boolean(),
  handles: z.record(z.string(), z.object({ ...handle, was: z.optional(z.object(handle)) })),
});

const quotaFacts = z.object({
  about: z.literal("quota"),
  project: z.string(),
  resourceClass: z.string(),
  limit: counter,
  wasLimit: z.optional(counter),
});

/** Facts as this version understands them. */
export const knownFacts = z.discriminatedUnion("about", [claimFacts, deployableFacts, quotaFacts]);

/** Facts as they travel: those of a newer service pass too, and are left unjudged. */
export const eventFacts = z.union([knownFacts, z.looseObject({ about: z.string() })]);
