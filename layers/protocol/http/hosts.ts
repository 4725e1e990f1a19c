import * as z from "zod/mini";
import { listOf, name, page, time, uuid } from "./common.ts";

export const createHost = z.strictObject({ name });
export type CreateHost = z.infer<typeof createHost>;

export const host = z.object({
  id: uuid,
  name: z.string(),
  state: z.enum(["joined", "online", "offline", "drained", "removed"]),
  joined: z.boolean(),
  /** SPKI, DER in base64. */
  publicKey: z.optional(z.string()),
  revoked: z.boolean(),
  alarm: z.optional(z.string()),
  agentVersion: z.optional(z.string()),
  bootId: z.optional(z.string()),
  epoch: z.int(),
  seenAt: z.optional(time),
  createdAt: time,
});
export type HostView = z.infer<typeof host>;

/** A one-time token for `gatehouse-agent join`, shown once. */
export const joinToken = z.object({ host, joinToken: z.string(), expiresAt: time });
export type JoinTokenView = z.infer<typeof joinToken>;
export const hostQuery = z.strictObject({ ...page, name: z.optional(name) });
export const hostList = listOf(host);
