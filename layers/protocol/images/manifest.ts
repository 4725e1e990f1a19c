import { Buffer } from "node:buffer";
import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import * as z from "zod/mini";
import { Fault } from "#domain/faults";
import { canonicalJson } from "./canonical-json.ts";
import { maxImageBytes } from "./digest.ts";
import { partInvalid } from "./faults.ts";
import { canonicalVendor, type ImageMetadata, metadataMismatch } from "./metadata.ts";
import { keyIdOf, parsePublicKey } from "./signing-key.ts";
import { parseStrictJson } from "./strict-json.ts";
import { parseUuid } from "./uuid.ts";

/** Longest manifest text taken, in characters; a full one has about 700. */
export const maxManifestChars = 8192;

const uuid = z
  .string("a uuid")
  .check(z.refine((text) => parseUuid(text) === text, "a lower-case uuid with dashes"));
const label = z.string("a word").check(z.regex(/^[\w.-]{1,64}$/, "letters, digits and _ . -"));
const instant = z
  .string("a time")
  .check(z.refine(isInstant, "a UTC time such as 2030-01-31T00:00:00Z"));

const statementSchema = z.strictObject(
  {
    sha256: z.string("a digest").check(z.regex(/^[0-9a-f]{64}$/, "64 lower-case hex digits")),
    size: z.int("bytes").check(z.gte(1, "1 or more"), z.lte(maxImageBytes, `≤ ${maxImageBytes}`)),
    vendor: label,
    type: label,
    format: label,
    interfaceId: z.exactOptional(uuid),
    functionId: uuid,
    notAfter: z.exactOptional(instant),
  },
  "an object with the statement's members only",
);

const manifestSchema = z.strictObject(
  {
    statement: statementSchema,
    keyId: z.string("a key id").check(z.regex(/^ed25519:[0-9a-f]{32}$/, "ed25519: and 32 digits")),
    signature: z.string("base64").check(z.refine(isSignature, "64 bytes in base64")),
  },
  "an object with statement, keyId and signature",
);

/**
 * What a signer vouches for. Digest in lower-case hex, size in bytes, ids lower-case with dashes;
 * `interfaceId` may be missing for an xclbin that names only its platform; `notAfter` is the last
 * good second, UTC. Formats without a trustworthy header get their ids from here (host.md §2.6).
 */
export type ManifestStatement = z.infer<typeof statementSchema>;

/**
 * A statement, who signed it and the Ed25519 signature (base64) over `manifestBytes(statement)`: the
 * form of a `<key>.manifest.json` object and of the API.
 */
export type Manifest = z.infer<typeof manifestSchema>;

/** What is known of an image apart from its manifest. What is left out is not compared. */
export interface ManifestFacts extends ImageMetadata {
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** The bytes that are signed: the statement as canonical JSON, UTF-8 (host.md §6.2). */
export function manifestBytes(statement: ManifestStatement): Buffer {
  return Buffer.from(canonicalJson(statement));
}

/** Reads the text of a manifest object. Throws SIGNATURE_INVALID with {field, expected} when it is not strictly one. */
export function parseManifest(text: string): Manifest {
  if (text.length > maxManifestChars) {
    throw unreadable("manifest", `at most ${maxManifestChars} characters`);
  }
  return checkManifest(readJson(text));
}

/**
 * Checks a manifest that is parsed already, as it arrives in a request or comes from the table.
 * Throws SIGNATURE_INVALID with {field, expected} when it is not strictly one.
 */
export function checkManifest(value: unknown): Manifest {
  const parsed = manifestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw unreadable(issue?.path.join(".") || "manifest", issue?.message ?? "valid");
}

/**
 * Signs a statement. Throws INVALID_REQUEST when the statement is not valid or `keyId` does not name
 * the public half of `privateKey`.
 */
export function signManifest(
  statement: ManifestStatement,
  keyId: string,
  privateKey: KeyObject,
): Manifest {
  const parsed = statementSchema.safeParse(statement);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw partInvalid(`statement.${issue?.path.join(".") ?? ""}`, issue?.message ?? "valid");
  }
  if (privateKey.type !== "private") throw partInvalid("privateKey", "a private key");
  if (keyIdOf(createPublicKey(privateKey)) !== keyId) {
    throw partInvalid("keyId", "the id of the signing key");
  }
  const signature = sign(null, manifestBytes(parsed.data), privateKey).toString("base64");
  return { statement: parsed.data, keyId, signature };
}

/**
 * Proves that the owner of `publicKey` vouches at `now` for the image with these `facts`. Nothing of
 * the statement is looked at before its signature has verified.
 * Throws SIGNATURE_INVALID, SIGNATURE_EXPIRED, IMAGE_METADATA_MISMATCH (naming the field), and
 * INVALID_REQUEST when `publicKey` is no Ed25519 public key.
 */
export function verifyManifest(
  manifest: Manifest,
  publicKey: KeyObject | string,
  facts: ManifestFacts,
  now: Date,
): void {
  const key = typeof publicKey === "string" ? parsePublicKey(publicKey) : publicKey;
  const { statement, keyId, signature } = manifest;
  if (keyIdOf(key) !== keyId) throw unreadable("keyId", keyIdOf(key));
  if (!verify(null, manifestBytes(statement), key, Buffer.from(signature, "base64"))) {
    throw unreadable("signature", "the key's signature of the statement");
  }
  // Negated so that a clock that cannot be read counts as past the end.
  if (statement.notAfter !== undefined && !(now.getTime() <= Date.parse(statement.notAfter))) {
    throw new Fault("SIGNATURE_EXPIRED", undefined, { notAfter: statement.notAfter });
  }
  checkFacts(statement, facts);
}

const compared = [
  "sha256",
  "size",
  "vendor",
  "type",
  "format",
  "interfaceId",
  "functionId",
] as const;

function checkFacts(statement: ManifestStatement, facts: ManifestFacts): void {
  for (const field of compared) {
    const fact = facts[field];
    if (fact === undefined) continue;
    const same =
      field === "vendor"
        ? oneVendor(statement.vendor) === oneVendor(String(fact))
        : statement[field] === fact;
    if (!same) throw metadataMismatch(field, String(fact));
  }
}

function oneVendor(name: string): string {
  return canonicalVendor(name) ?? name;
}

function readJson(text: string): unknown {
  try {
    return parseStrictJson(text, 2);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw unreadable("manifest", `strict JSON (${reason})`);
  }
}

function isInstant(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text)) return false;
  const time = new Date(text);
  // Printing it again refuses days that do not exist, which Date.parse carries over.
  return !Number.isNaN(time.getTime()) && time.toISOString() === text.replace("Z", ".000Z");
}

function isSignature(text: string): boolean {
  const bytes = Buffer.from(text, "base64");
  return bytes.length === 64 && bytes.toString("base64") === text;
}

function unreadable(field: string, expected: string): Fault {
  return new Fault("SIGNATURE_INVALID", `The manifest's ${field} is not ${expected}`, {
    field,
    expected,
  });
}
