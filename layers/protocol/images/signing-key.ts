import type { Buffer } from "node:buffer";
import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { Fault } from "#domain/faults";

/** One SPKI block and nothing else; an Ed25519 key needs 113 characters. */
const spkiPem =
  /^-----BEGIN PUBLIC KEY-----\r?\n[A-Za-z0-9+/=\r\n]{1,512}-----END PUBLIC KEY-----\s{0,8}$/;

/** The raw key is the end of its SPKI form (RFC 8410). */
const rawKeyBytes = 32;

/**
 * Reads a public signing key. Only an Ed25519 SPKI PEM is taken: node would also derive a public key
 * from a private one, and nobody should learn that way that theirs was uploaded.
 * Throws INVALID_REQUEST.
 */
export function parsePublicKey(pem: string): KeyObject {
  if (!spkiPem.test(pem)) throw notAKey();
  try {
    return requireEd25519(createPublicKey(pem));
  } catch (error) {
    throw notAKey(error);
  }
}

/**
 * Names a key: `ed25519:` and the first 32 hex digits of the SHA-256 of its raw 32 bytes.
 * Throws INVALID_REQUEST unless `publicKey` is an Ed25519 public key.
 */
export function keyIdOf(publicKey: KeyObject): string {
  const spki: Buffer = requireEd25519(publicKey).export({ type: "spki", format: "der" });
  const raw = spki.subarray(-rawKeyBytes);
  return `ed25519:${createHash("sha256").update(raw).digest("hex").slice(0, 32)}`;
}

function requireEd25519(key: KeyObject): KeyObject {
  if (key.type !== "public" || key.asymmetricKeyType !== "ed25519") throw notAKey();
  return key;
}

function notAKey(cause?: unknown): Fault {
  const expected = "an Ed25519 public key as SPKI PEM";
  return new Fault(
    "INVALID_REQUEST",
    `The key is not ${expected}`,
    { field: "publicKey", expected },
    { cause },
  );
}
