import { createPublicKey } from "node:crypto";
import { type Receipt, receiptVerifies } from "../wire/receipt.ts";
import type { ReceiptView } from "./deployables.ts";

/** What the agent signed, from what the API shows of it; what else it may show one day is left out. */
export function signedReceipt(view: ReceiptView): Receipt {
  const { deployable, number, previous, kind, imageGeneration, sha256, signature } = view;
  const { functionId, fences, bootId } = view;
  const facts = { deployable, number, previous, kind, imageGeneration, functionId, fences, bootId };
  const body = { ...facts, at: Date.parse(view.at), ...(sha256 === undefined ? {} : { sha256 }) };
  return { body, signature };
}

/** A public key as the API shows it, SPKI in base64, from its PEM (RFC 7468). */
export function publicKeyText(pem: string): string {
  return pem.replaceAll(/-----[^-]+-----|\s/g, "");
}

/**
 * True when the key that the receipt names signed exactly this; undefined for one that was stored
 * before keys were kept with receipts.
 */
export function isSigned(view: ReceiptView): boolean | undefined {
  if (view.publicKey === undefined) return undefined;
  try {
    const der = Buffer.from(view.publicKey, "base64");
    const key = createPublicKey({ key: der, format: "der", type: "spki" });
    return receiptVerifies(signedReceipt(view), key);
  } catch {
    return false;
  }
}
