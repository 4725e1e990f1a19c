import type { KeyObject } from "node:crypto";
import { Fault } from "#domain/faults";
import { headBytesNeeded, type ImageHeader, readImageHeader } from "#protocol/images/header";
import { checkManifest, verifyManifest } from "#protocol/images/manifest";
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
  const header = readImageHeader(bytes.subarray(0, headBytesNeeded), bytes.length);
  const { format, interfaceId, functionId } = image;
  checkMetadata(header, { format, functionId, ...(interfaceId !== undefined && { interfaceId }) });
  checkSignature(image, header, policy);
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

function checkSignature(image: ImageReference, header: ImageHeader, policy: TrustPolicy): void {
  if (image.manifest === undefined) {
    if (policy.signature === "required") throw new Fault("SIGNATURE_REQUIRED");
    return;
  }
  const { statement, keyId, signature } = image.manifest;
  const manifest = checkManifest({ statement, keyId, signature });
  const key = policy.keyOf(keyId);
  if (!key && policy.signature === "optional") return;
  if (!key) throw new Fault("SIGNATURE_INVALID", "The signing key is not trusted here", { keyId });
  if (key.revoked === true) throw new Fault("KEY_REVOKED", undefined, { keyId });
  const { sha256, size, vendor, type } = image;
  const { format, functionId, interfaceId } = header;
  const facts = { sha256, size, vendor, type, format, functionId };
  const all = { ...facts, ...(interfaceId !== undefined && { interfaceId }) };
  verifyManifest(manifest, key.publicKey, all, policy.now());
}
