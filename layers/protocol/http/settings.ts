import * as z from "zod/mini";
import { listOf, name, page, time, uuid } from "./common.ts";
import { eventFacts } from "./event-facts.ts";

/** Profiles, quotas, catalogues, events and the service document. */

export const createProfile = z.strictObject({
  name,
  description: z.optional(z.string().check(z.maxLength(1024))),
  groups: z
    .array(z.record(z.string().check(z.maxLength(300)), z.string().check(z.maxLength(300))))
    .check(z.minLength(1), z.maxLength(16)),
});
export type CreateProfile = z.infer<typeof createProfile>;
export const profile = z.object({
  id: uuid,
  name: z.string(),
  description: z.string(),
  groups: z.array(z.record(z.string(), z.string())),
  createdAt: time,
});
export type ProfileView = z.infer<typeof profile>;
export const profileQuery = z.strictObject(page);
export const profileList = listOf(profile);

export const quota = z.object({
  project: z.string(),
  resourceClass: z.string(),
  limit: z.int(),
  used: z.int(),
  left: z.int(),
});
export type QuotaView = z.infer<typeof quota>;
export const setQuota = z.strictObject({
  limit: z.int().check(z.minimum(0), z.maximum(1_000_000)),
});
export const quotaQuery = z.strictObject(page);
export const quotaList = listOf(quota);

export const trait = z.object({ name: z.string(), deployables: z.int(), free: z.int() });
export const resourceClass = z.object({
  name: z.string(),
  total: z.int(),
  free: z.int(),
  held: z.int(),
});
export const catalogQuery = z.strictObject({ host: z.optional(uuid) });
export const traitList = listOf(trait);
export const resourceClassList = listOf(resourceClass);

/** One line of the audit: what changed, of what, to what. */
export const event = z.object({
  id: z.string(),
  at: time,
  kind: z.string(),
  project: z.optional(z.string()),
  host: z.optional(z.string()),
  deployable: z.optional(z.string()),
  claim: z.optional(z.string()),
  image: z.optional(z.string()),
  text: z.string(),
  facts: z.optional(eventFacts),
});
export type EventView = z.infer<typeof event>;
export const eventQuery = z.strictObject({
  ...page,
  claim: z.optional(uuid),
  deployable: z.optional(uuid),
  image: z.optional(uuid),
  host: z.optional(uuid),
  since: z.optional(time),
});
export const eventList = listOf(event);

export const serviceDocument = z.object({
  name: z.literal("gatehouse"),
  version: z.string(),
  protocol: z.int(),
  openapi: z.string(),
  signaturePolicy: z.enum(["required", "optional"]),
});
