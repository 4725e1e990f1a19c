import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { isFault } from "#domain/faults";
import { partInvalid } from "./faults.ts";
import { gbsMagic, minGbsPayloadBytes } from "./gbs.ts";
import { gbsMagicNumber, parseGbsMetadata } from "./gbs-metadata.ts";
import { pacsign } from "./pacsign.ts";
import { parseUuid } from "./uuid.ts";

/** Parts of a GBS. Ids are dashed uuids; clocks MHz; power watts; `payload` at least 4 bytes. */
export interface GbsParts {
  readonly interfaceId: string;
  readonly functionId: string;
  /** At most 128 visible characters. */
  readonly name: string;
  readonly payload: Uint8Array;
  /** Wraps the payload as PACSign does, with a stand-in key chain that no real card accepts. */
  readonly pacsign?: boolean;
  readonly power?: number;
  readonly clockLow?: number | string;
  readonly clockHigh?: number | string;
}

/**
 * Makes the bytes of a GBS. Equal parts give equal bytes.
 * Throws INVALID_REQUEST when the parts make no valid GBS.
 */
export function encodeGbs(parts: GbsParts): Buffer {
  const metadata = Buffer.from(metadataText(parts));
  if (parts.payload.length < minGbsPayloadBytes) throw partInvalid("payload", "at least 4 bytes");
  requireReadable(metadata);
  const preamble = Buffer.alloc(4);
  preamble.writeUInt32LE(metadata.length);
  const body = parts.pacsign === true ? envelope(parts.payload) : [parts.payload];
  return Buffer.concat([gbsMagic, preamble, metadata, ...body]);
}

/** Whatever the parser would refuse is refused here already, under the caller's code. */
function requireReadable(metadata: Uint8Array): void {
  try {
    parseGbsMetadata(metadata);
  } catch (error) {
    if (!isFault(error)) throw error;
    throw partInvalid(error.detail.field ?? "metadata", error.detail.expected ?? "valid");
  }
}

/** Carries every member OPAE insists on, so that fpgaconf and fpgasupdate read it too. */
function metadataText(parts: GbsParts): string {
  return JSON.stringify({
    version: 1,
    "platform-name": "",
    "afu-image": {
      "magic-no": gbsMagicNumber,
      "interface-uuid": uuidPart("interfaceId", parts.interfaceId),
      power: parts.power ?? 0,
      "clock-frequency-low": parts.clockLow ?? 0,
      "clock-frequency-high": parts.clockHigh ?? 0,
      "afu-top-interface": { class: "ccip_std_afu" },
      "accelerator-clusters": [
        {
          name: parts.name,
          "total-contexts": 1,
          "accelerator-type-uuid": uuidPart("functionId", parts.functionId),
        },
      ],
    },
  });
}

function uuidPart(field: string, text: string): string {
  const uuid = parseUuid(text);
  if (uuid === undefined) throw partInvalid(field, "a uuid with dashes");
  return uuid;
}

function envelope(payload: Uint8Array): readonly Uint8Array[] {
  const content = Buffer.alloc(
    Math.ceil(payload.length / pacsign.contentUnit) * pacsign.contentUnit,
  );
  content.set(payload);
  const block0 = Buffer.alloc(pacsign.block0Bytes);
  block0.writeUInt32LE(pacsign.block0Magic, 0);
  block0.writeUInt32LE(content.length, 4);
  block0.writeUInt32LE(2, 8);
  block0.set(digest("sha256", content), 16);
  block0.set(digest("sha384", content), 48);
  return [block0, keyChain(block0), content];
}

/**
 * Block1 as PACSign lays it out: root entry, code signing key entry, Block0 entry. Keys and
 * signatures are digests of Block0, which makes them present and stable but worthless.
 */
function keyChain(block0: Uint8Array): Buffer {
  const block1 = Buffer.alloc(pacsign.blockBytes - pacsign.block0Bytes);
  block1.writeUInt32LE(pacsign.block1Magic, 0);
  const root = keyEntry(pacsign.rootEntryMagic, block0, { bytes: 132, keyId: 0xffff_ffff });
  const signing = keyEntry(0x1471_1c2f, block0, { bytes: 232, keyId: 0 });
  signing.writeUInt32LE(0xde64_437d, 132);
  signing.set(standIn("r", signing.subarray(0, 132)), 136);
  signing.set(standIn("s", signing.subarray(0, 132)), 184);
  const last = Buffer.alloc(104);
  last.writeUInt32LE(0x1536_4367, 0);
  last.writeUInt32LE(0xde64_437d, 4);
  last.set(standIn("r", block0), 8);
  last.set(standIn("s", block0), 56);
  block1.set(Buffer.concat([root, signing, last]), 16);
  return block1;
}

function keyEntry(
  magic: number,
  seed: Uint8Array,
  { bytes, keyId }: { readonly bytes: number; readonly keyId: number },
): Buffer {
  const entry = Buffer.alloc(bytes);
  entry.writeUInt32LE(magic, 0);
  entry.writeUInt32LE(0xc7b8_8c74, 4);
  entry.writeUInt32LE(0xffff_ffff, 8);
  entry.writeUInt32LE(keyId, 12);
  entry.set(standIn(`x${magic}`, seed), 16);
  entry.set(standIn(`y${magic}`, seed), 64);
  return entry;
}

function standIn(role: string, seed: Uint8Array): Buffer {
  return digest("sha256", Buffer.concat([Buffer.from(role), seed]));
}

function digest(algorithm: "sha256" | "sha384", bytes: Uint8Array): Buffer {
  return createHash(algorithm).update(bytes).digest();
}
