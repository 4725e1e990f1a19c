import { type KeyObject, sign, verify } from "node:crypto";
import * as z from "zod/mini";
import { canonicalDigest, canonicalJson } from "../canonical.ts";
import { counter, fences, sha256, uuid } from "./shapes.ts";

/**
 * Proof of one program or scrub: what the card said afterwards, under which counters and boot.
 * `previous` is the digest of the deployable's receipt before it, 64 zeros for number 1.
 */
export const receiptBody = z.object({
  deployable: uuid,
  number: z.int().check(z.minimum(1)),
  previous: sha256,
  kind: z.enum(["program", "scrub"]),
  imageGeneration: counter,
  sha256: z.optional(sha256),
  functionId: z.nullable(uuid),
  fences,
  bootId: uuid,
  /** Milliseconds since the epoch by the host's clock. */
  at: counter,
});
export const receipt = z.looseObject({
  body: receiptBody,
  signature: z.string().check(z.maxLength(128)),
});
export type ReceiptBody = z.infer<typeof receiptBody>;
export type Receipt = z.infer<typeof receipt>;

/** What the first receipt of a chain names as the one before it. */
export const chainStart = "0".repeat(64);

/** Signs a receipt with the agent's Ed25519 key. */
export function signReceipt(body: ReceiptBody, key: KeyObject): Receipt {
  return {
    body,
    signature: sign(null, Buffer.from(canonicalJson(body)), key).toString("base64"),
  };
}

/** True when the agent's key signed exactly this body. */
export function receiptVerifies(receipt: Receipt, publicKey: KeyObject): boolean {
  const bytes = Buffer.from(canonicalJson(receipt.body));
  return verify(null, bytes, publicKey, Buffer.from(receipt.signature, "base64"));
}

/** What the next receipt of the chain carries as `previous`. */
export function receiptDigest(body: ReceiptBody): string {
  return canonicalDigest(body);
}
