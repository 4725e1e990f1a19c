import * as z from "zod/mini";
import { label, sha256 } from "./wire/shapes.ts";

/** `POST /agent/v1/join`: what a new agent sends with its one-time token. */
export const joinRequest = z.object({
  token: z.string().check(z.minLength(16), z.maxLength(256)),
  /** Ed25519 public key, SPKI PEM. */
  publicKey: z.string().check(z.maxLength(512)),
  /** machineDigest() of this machine (agent-token.ts). */
  machine: sha256,
  nodeName: label,
});
export type JoinRequest = z.infer<typeof joinRequest>;

/** The answer: who the agent is now, where to connect, and what it may trust if its operator said so. */
export const joinResponse = z.looseObject({
  host: z.string(),
  socketUrl: z.string(),
  /** Ed25519 public key of permits, SPKI PEM. */
  permitKey: z.string(),
  serverTime: z.int(),
  /** Origins that presigned image downloads point to. */
  imageOrigins: z.optional(z.array(z.string())),
});
export type JoinResponse = z.infer<typeof joinResponse>;

/** `POST /agent/v1/exchange`: the socket's exchange as one short poll; bodies are wire frames. */
export const exchangeRequest = z.object({
  frames: z.array(z.string()).check(z.maxLength(64)),
});
export const exchangeResponse = z.object({
  frames: z.array(z.string()),
  /** Seconds until the next poll. */
  pollSeconds: z.int(),
});
