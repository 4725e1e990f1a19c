import type { KeyObject } from "node:crypto";
import { Fault } from "#domain/faults";
import { headBytesNeeded, type ImageHeader } from "#protocol/images/header";
import { judgeImage } from "#protocol/images/judge";
import { checkManifest, type Manifest, verifyManifest } from "#protocol/images/manifest";
import { checkMetadata } from "#protocol/images/metadata";
import type { ImageReference } from "#protocol/wire/shapes";
import type { VerifiedImage } from "../drivers/driver.ts";

/** A signing key that the operator put on this host, or let the cloud put there. */
export interface TrustedKey {
  readonly publicKey: KeyObject;
  readonly revoked?: boolean;
}

/** Whose images may be programmed here. */
export interface TrustPolicy {
  /** `optional` takes an image without a signature, or with one of a key not known here. */
  readonly signature: "required" | "optional";
  readonly keyOf: (keyId: string) => TrustedKey | undefined;
  readonly now: () => Date;
}

/**
 * Judges bytes whose sha256 is known to be right: header, what the cloud says of it, signature.
 * Throws the IMAGE_ codes of the header, IMAGE_METADATA_MISMATCH, SIGNATURE_REQUIRED,
 * SIGNATURE_INVALID, SIGNATURE_EXPIRED and KEY_REVOKED.
 */
export function trustImage(
  bytes: Buffer,
  image: ImageReference,
  policy: TrustPolicy,
): VerifiedImage {
  const { format, interfaceId, functionId } = image;
  const manifest = manifestOf(image);
  const file = { head: bytes.subarray(0, headBytesNeeded), size: bytes.length };
  const header = judgeImage(file, { format, interfaceId, statement: manifest?.statement });
  checkMetadata(header, { format, functionId, ...(interfaceId !== undefined && { interfaceId }) });
  checkSignature({ image, header, manifest }, policy);
  const id = header.interfaceId ?? interfaceId;
  return {
    id: image.id,
    sha256: image.sha256,
    functionId: header.functionId,
    ...(id !== undefined && { interfaceId: id }),
    format: header.format,
    bytes,
    payloadOffset: header.format === "gbs" ? header.payloadOffset : 0,
  };
}

function manifestOf({ manifest }: ImageReference): Manifest | undefined {
  if (manifest === undefined) return undefined;
  const { statement, keyId, signature } = manifest;
  return checkManifest({ statement, keyId, signature });
}

interface Judged {
  readonly image: ImageReference;
  readonly header: ImageHeader;
  readonly manifest: Manifest | undefined;
}

function checkSignature({ image, header, manifest }: Judged, policy: TrustPolicy): void {
  if (manifest === undefined) {
    if (policy.signature === "required") throw new Fault("SIGNATURE_REQUIRED");
    return;
  }
  const { keyId } = manifest;
  const key = policy.keyOf(keyId);
  // What a raw image fits and does is known from its manifest alone, so no policy waives its proof.
  if (!key && policy.signature === "optional" && header.format !== "raw") return;
  if (!key) throw new Fault("SIGNATURE_INVALID", "The signing key is not trusted here", { keyId });
  if (key.revoked === true) throw new Fault("KEY_REVOKED", undefined, { keyId });
  const { sha256, size, vendor, type } = image;
  const { format, functionId, interfaceId } = header;
  const facts = { sha256, size, vendor, type, format, functionId };
  const all = { ...facts, ...(interfaceId !== undefined && { interfaceId }) };
  verifyManifest(manifest, key.publicKey, all, policy.now());
}
