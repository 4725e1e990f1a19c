import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { crc32c, crc64nvme } from "./crc.ts";
import { S3Error } from "./errors.ts";

/** Header suffix of each algorithm that is kept, and how many bytes its value has. */
const digestBytes = {
  crc32: 4,
  crc32c: 4,
  crc64nvme: 8,
  md5: 16,
  sha1: 20,
  sha256: 32,
  sha512: 64,
} as const satisfies Record<string, number>;

/** Names as they end an `x-amz-checksum-` header. */
export type ChecksumAlgorithm = keyof typeof digestBytes;

/** A running digest, so that bodies are never held whole. */
export interface Digest {
  update(data: Uint8Array): void;
  end(): Buffer;
}

/** One checksum as stored with an object. `value` is base64, `-n` behind it when it is a composite of n parts. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly value: string;
  readonly type: "COMPOSITE" | "FULL_OBJECT";
}

/** What S3 computes when the client brings no checksum (S3 user guide, "Checking object integrity"). */
export const defaultAlgorithm: ChecksumAlgorithm = "crc64nvme";

/** The algorithm of an API name such as `CRC32`. Throws InvalidRequest when it is not kept here. */
export function algorithmNamed(name: string): ChecksumAlgorithm {
  const lower = name.toLowerCase();
  if (Object.hasOwn(digestBytes, lower)) return lower as ChecksumAlgorithm;
  throw new S3Error("InvalidRequest", `The checksum algorithm ${name} is not supported.`);
}

/** Starts a digest of that algorithm. */
export function startDigest(algorithm: ChecksumAlgorithm): Digest {
  if (algorithm === "crc32") return crcDigest(crc32);
  if (algorithm === "crc32c") return crcDigest(crc32c);
  if (algorithm === "crc64nvme") return crc64Digest();
  const hash = createHash(algorithm);
  return { update: (data) => void hash.update(data), end: () => hash.digest() };
}

/** Decodes a checksum that a client sent. Throws InvalidRequest when it cannot be one. */
export function checksumBytes(algorithm: ChecksumAlgorithm, value: string): Buffer {
  const bytes = Buffer.from(value, "base64");
  if (bytes.length !== digestBytes[algorithm] || bytes.toString("base64") !== value) {
    throw new S3Error("InvalidRequest", `Value for x-amz-checksum-${algorithm} header is invalid.`);
  }
  return bytes;
}

/** The checksum of checksums that S3 gives an object made of parts. */
export function compositeChecksum(
  algorithm: ChecksumAlgorithm,
  parts: readonly string[],
): Checksum {
  const digest = startDigest(algorithm);
  for (const part of parts) digest.update(Buffer.from(part, "base64"));
  const value = `${digest.end().toString("base64")}-${parts.length}`;
  return { algorithm, value, type: "COMPOSITE" };
}

function crcDigest(advance: (data: Uint8Array, previous: number) => number): Digest {
  let crc = 0;
  return {
    update(data) {
      crc = advance(data, crc);
    },
    end() {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(crc);
      return bytes;
    },
  };
}

function crc64Digest(): Digest {
  let crc = { high: 0, low: 0 };
  return {
    update(data) {
      crc = crc64nvme(data, crc);
    },
    end() {
      const bytes = Buffer.alloc(8);
      bytes.writeUInt32BE(crc.high, 0);
      bytes.writeUInt32BE(crc.low, 4);
      return bytes;
    },
  };
}
