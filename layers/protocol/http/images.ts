import * as z from "zod/mini";
import { hex, listOf, name, page, time, trouble, uuid } from "./common.ts";

export const imageStates = ["pending", "verifying", "active", "rejected", "retired"] as const;

/** `POST /v1/images`: announces an upload; the answer has the presigned request to send it with. */
export const createImage = z.strictObject({
  name,
  vendor: name,
  type: name,
  /** Of the file to come; the presigned upload refuses other bytes. */
  sha256: hex(64),
  md5: z.optional(hex(32)),
  size: z.int().check(z.minimum(1)),
  visibility: z.optional(z.enum(["private", "shared", "public"])),
  /** A signed manifest (docs/images.md), when it is known before the upload. */
  manifest: z.optional(z.unknown()),
});
export type CreateImage = z.infer<typeof createImage>;

export const image = z.object({
  id: uuid,
  project: z.string(),
  name: z.string(),
  vendor: z.string(),
  type: z.string(),
  visibility: z.enum(["private", "shared", "public"]),
  state: z.enum(imageStates),
  reason: z.optional(trouble),
  objectKey: z.string(),
  /** Where it was put: here, or in Glance, which then gave it its id. */
  source: z.enum(["upload", "glance"]),
  /** While an image of Glance is on its way: bytes that are here, of how many; why it stands still. */
  copy: z.optional(
    z.object({
      copied: z.int(),
      size: z.optional(z.int()),
      problem: z.optional(z.string()),
    }),
  ),
  /** What Glance was told of an image of ours, and why not more. */
  registration: z.optional(
    z.object({
      told: z.optional(z.enum(["active", "deactivated", "deleted"])),
      problem: z.optional(z.string()),
    }),
  ),
  size: z.optional(z.int()),
  sha256: z.optional(z.string()),
  md5: z.optional(z.string()),
  format: z.optional(z.enum(["gbs", "xclbin", "afi", "raw"])),
  interfaceId: z.optional(z.string()),
  functionId: z.optional(z.string()),
  signedBy: z.optional(z.string()),
  traits: z.array(z.string()),
  createdAt: time,
  updatedAt: time,
});
export type ImageView = z.infer<typeof image>;

/** How to send the bytes: one PUT to `url` with exactly these headers, before `expiresAt`. */
export const createdImage = z.object({
  image,
  upload: z.object({
    method: z.literal("PUT"),
    url: z.string(),
    headers: z.record(z.string(), z.string()),
    expiresAt: time,
  }),
});
export type CreatedImage = z.infer<typeof createdImage>;

export const signImage = z.strictObject({ manifest: z.unknown() });
export const imageQuery = z.strictObject({
  ...page,
  state: z.optional(z.enum(imageStates)),
  type: z.optional(name),
  vendor: z.optional(name),
});
export const imageList = listOf(image);
