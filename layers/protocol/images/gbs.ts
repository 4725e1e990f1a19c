import { Buffer } from "node:buffer";
import { headerInvalid, requireBytes, requireFileSize } from "./faults.ts";
import { type GbsMetadata, gbsMagicNumber, parseGbsMetadata } from "./gbs-metadata.ts";
import { checkPacsign, pacsignHeadBytes, startsPacsign } from "./pacsign.ts";

/** The 16 bytes "XeonFPGA\xb7GBSv001" every GBS starts with (host.md §2.6). */
export const gbsMagic: Uint8Array = Buffer.from("58656f6e46504741b747425376303031", "hex");

/** Magic and the u32 length of the metadata. */
const gbsPreambleBytes = 20;

/** host.md §2.6: 1 ≤ L < 4096. OPAE's tools take up to 8191, the stricter reader decides. */
const maxGbsMetadataBytes = 4095;

/** Shortest bitstream the kernel takes: it is written in words of 4 bytes (host.md §2.1). */
export const minGbsPayloadBytes = 4;

/** Longest head a GBS needs: preamble, metadata and as much of the envelope as is looked at. */
export const gbsHeadBytes = gbsPreambleBytes + maxGbsMetadataBytes + pacsignHeadBytes;

/** Facts of a GBS. Offsets and lengths are bytes. */
export interface GbsHeader extends GbsMetadata {
  readonly format: "gbs";
  /** A key chain of the vendor is present; only the card can say whether it is good. */
  readonly signedByVendor: boolean;
  /** Where the bytes for the card start. The envelope is part of them: the card verifies it. */
  readonly payloadOffset: number;
  readonly payloadLength: number;
}

/** True for the format before OPAE 0.9, which has no metadata and hence no function id. */
export function isLegacyGbs(head: Uint8Array): boolean {
  return head.length >= 4 && Buffer.from(head.subarray(0, 4)).readUInt32LE(0) === gbsMagicNumber;
}

/**
 * Reads the header of a GBS, plain or in a PACSign envelope.
 * `head` are the first bytes of the file (at least `gbsHeadBytes`, or all of a shorter file),
 * `fileSize` is the size of the whole file in bytes.
 * Throws IMAGE_TRUNCATED or IMAGE_HEADER_INVALID; the latter for a wrong magic too, since whoever
 * calls this has already chosen the format.
 */
export function parseGbs(head: Uint8Array, fileSize: number): GbsHeader {
  requireFileSize(head, fileSize);
  if (isLegacyGbs(head)) {
    throw headerInvalid("magic", "that of a GBS with metadata: rebuild this legacy image");
  }
  requireBytes(head, gbsPreambleBytes, "GBS preamble");
  const view = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  if (view.compare(gbsMagic, 0, gbsMagic.length, 0, gbsMagic.length) !== 0) {
    throw headerInvalid("magic", "XeonFPGA\\xb7GBSv001");
  }
  const payloadOffset = gbsPreambleBytes + metadataLength(view);
  requireBytes(head, payloadOffset, "metadata");
  // These bytes also tell an envelope from a plain bitstream.
  requireBytes(head, payloadOffset + minGbsPayloadBytes, "bitstream");
  const payloadLength = fileSize - payloadOffset;
  const metadata = parseGbsMetadata(view.subarray(gbsPreambleBytes, payloadOffset));
  const signedByVendor =
    startsPacsign(head, payloadOffset) && checkPacsign(head, payloadOffset, payloadLength);
  return { format: "gbs", ...metadata, signedByVendor, payloadOffset, payloadLength };
}

function metadataLength(view: Buffer): number {
  const length = view.readUInt32LE(gbsMagic.length);
  if (length < 1 || length > maxGbsMetadataBytes) {
    throw headerInvalid("metadata length", `from 1 to ${maxGbsMetadataBytes}`);
  }
  return length;
}
