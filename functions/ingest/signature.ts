import { Fault } from "#domain/faults";
import type { SignedManifest } from "#domain/image";
import {
  checkManifest,
  type ManifestFacts,
  maxManifestChars,
  parseManifest,
  verifyManifest,
} from "#protocol/images/manifest";
import { manifestKeyOf } from "#protocol/images/names";
import { findSigningKey } from "#store/named";
import type { IngestBucket, Ingesting } from "./ingest.ts";

/** The manifest that lies beside an object as `<key>.manifest.json`, when it is readable. */
export async function manifestBeside(
  bucket: IngestBucket,
  key: string,
): Promise<SignedManifest | undefined> {
  const manifestKey = manifestKeyOf(key);
  const facts = await bucket.facts(manifestKey);
  if (facts === undefined || facts.size > maxManifestChars) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of await bucket.read(manifestKey, facts.version)) {
    chunks.push(chunk);
  }
  try {
    return parseManifest(Buffer.concat(chunks).toString());
  } catch {
    // An unreadable file vouches for nothing: the policy decides as if it were not there.
    return undefined;
  }
}

/**
 * Holds an image to the signature policy. A signature that is there must verify, whatever the policy.
 * Throws SIGNATURE_REQUIRED, SIGNATURE_INVALID, SIGNATURE_EXPIRED, KEY_REVOKED,
 * IMAGE_METADATA_MISMATCH.
 */
export async function proveSignature(
  { store, settings }: Pick<Ingesting, "store" | "settings">,
  manifest: SignedManifest | undefined,
  facts: ManifestFacts,
): Promise<void> {
  if (manifest === undefined) {
    if (settings.signaturePolicy === "optional") return;
    throw new Fault("SIGNATURE_REQUIRED", "this installation takes signed images only");
  }
  const key = await findSigningKey(store, manifest.keyId);
  if (key === undefined) {
    throw new Fault("SIGNATURE_INVALID", `key ${manifest.keyId} is not trusted here`, {
      field: "keyId",
    });
  }
  if (key.revokedAt !== undefined) {
    throw new Fault("KEY_REVOKED", `key ${key.name} was revoked`, { field: "keyId" });
  }
  verifyManifest(checkManifest(manifest), key.publicKey, facts, new Date(store.now()));
}
