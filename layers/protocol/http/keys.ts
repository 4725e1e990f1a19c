import * as z from "zod/mini";
import { listOf, name, page, time } from "./common.ts";

/** `POST /v1/keys`: an Ed25519 public key (SPKI PEM) whose manifests are trusted. */
export const createKey = z.strictObject({
  name,
  publicKey: z.string().check(z.minLength(1), z.maxLength(1024)),
});
export type CreateKey = z.infer<typeof createKey>;

export const key = z.object({
  id: z.string(),
  name: z.string(),
  publicKey: z.string(),
  revokedAt: z.optional(time),
  createdAt: time,
});
export type KeyView = z.infer<typeof key>;
export const keyQuery = z.strictObject(page);
export const keyList = listOf(key);
