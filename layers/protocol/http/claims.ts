import * as z from "zod/mini";
import { hypervisorNames } from "#domain/hypervisors";
import { listOf, name, page, time, traitName, trouble, uuid } from "./common.ts";
import { programRequest } from "./deployables.ts";

const label = z.string().check(z.minLength(1), z.maxLength(128));

/**
 * `POST /v1/claims`, with the mail's parameters: host, type, image, traits, resource class. At least
 * one of resourceClass, image, type, profile or deployable says what is wanted. Without type and
 * image nothing is programmed. `count` handles come from one host, all or none.
 */
export const createClaim = z.strictObject({
  /** Host id or node name. */
  host: z.optional(label),
  /** Image type such as `crypto`: an active image of this type is programmed. */
  type: z.optional(name),
  image: z.optional(uuid),
  traits: z.optional(z.array(traitName).check(z.maxLength(64))),
  forbiddenTraits: z.optional(z.array(traitName).check(z.maxLength(64))),
  resourceClass: z.optional(traitName),
  deployable: z.optional(uuid),
  profile: z.optional(name),
  count: z.optional(z.int().check(z.minimum(1), z.maximum(32))),
  instance: z.optional(label),
  /** Seconds until the claim asks for its own release unless renewed; absent = for ever. */
  leaseSeconds: z.optional(z.int().check(z.minimum(30), z.maximum(31_536_000))),
});
export type CreateClaim = z.infer<typeof createClaim>;

export const claim = z.object({
  id: uuid,
  project: z.string(),
  state: z.enum(["Initial", "BindStarted", "Bound", "Unbound", "BindFailed", "Deleting"]),
  reason: z.optional(trouble),
  resourceClass: z.string(),
  instance: z.optional(z.string()),
  host: z.optional(uuid),
  hostName: z.optional(z.string()),
  deployable: z.optional(uuid),
  handle: z.optional(z.string()),
  fence: z.optional(z.int()),
  pciAddress: z.optional(z.string()),
  image: z.optional(uuid),
  profile: z.optional(z.string()),
  group: z.optional(z.int()),
  plugged: z.boolean(),
  attachment: z.optional(
    z.looseObject({
      hypervisor: z.string(),
      pciAddress: z.optional(z.string()),
      xml: z.optional(z.string()),
      cdi: z.optional(z.string()),
      device: z.optional(z.string()),
      bus: z.optional(z.string()),
      handleInfo: z.optional(
        z.object({
          domain: z.string(),
          bus: z.string(),
          device: z.string(),
          function: z.string(),
        }),
      ),
    }),
  ),
  plugError: z.optional(trouble),
  /** Signed leave to plug while the cloud is away; present while the claim is Bound. */
  permit: z.optional(z.string()),
  operation: z.optional(z.string()),
  deadline: z.optional(time),
  leaseUntil: z.optional(time),
  createdAt: time,
  updatedAt: time,
});
export type ClaimView = z.infer<typeof claim>;

export const createdClaims = z.object({ claims: z.array(claim) });

export const claimQuery = z.strictObject({
  ...page,
  instance: z.optional(label),
  /** Admins only: claims of every project. */
  all: z.optional(z.enum(["true", "false"])),
});
export const claimList = listOf(claim);

/** What a release left behind: the handle is `releasing` until the agent proves it clean. */
export const released = z.object({
  id: uuid,
  deployable: z.optional(uuid),
  handle: z.optional(z.string()),
  operation: z.optional(z.string()),
});
export type ReleasedView = z.infer<typeof released>;

export const attachRequest = z.strictObject({
  hypervisor: z.enum(hypervisorNames),
  /** The guest's name; it becomes part of a path and of an argument list on the host. */
  domain: z.optional(z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}$/))),
  /** For qemu: id of the empty pcie-root-port to take. */
  bus: z.optional(z.string().check(z.regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/))),
});
export type AttachRequest = z.infer<typeof attachRequest>;

export const renewRequest = z.strictObject({
  leaseSeconds: z.int().check(z.minimum(30), z.maximum(31_536_000)),
});
export { programRequest as claimProgramRequest };

const verdict = z.object({
  deployable: uuid,
  host: uuid,
  hostName: z.string(),
  resourceClass: z.string(),
  state: z.string(),
  verdict: z.enum(["fits", "busy", "unsuitable"]),
  rank: z.optional(z.int()),
  free: z.int(),
  reasons: z.array(z.string()),
});
export const explanation = z.object({
  summary: z.string(),
  fits: z.int(),
  busy: z.int(),
  unsuitable: z.int(),
  deployables: z.array(verdict),
});
export type ExplanationView = z.infer<typeof explanation>;
