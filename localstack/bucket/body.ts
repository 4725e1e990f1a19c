import { createHash } from "node:crypto";
import type { Authenticated } from "./authenticate.ts";
import type { Checksum, ChecksumAlgorithm, Digest } from "./checksums.ts";
import { checksumBytes, defaultAlgorithm, startDigest } from "./checksums.ts";
import type { ChunkFraming, Trailers } from "./chunked.ts";
import { decodeChunks, incompleteBody } from "./chunked.ts";
import { claimedChecksum } from "./claimed-checksum.ts";
import { S3Error } from "./errors.ts";
import { parameter, type S3Request } from "./request.ts";

/** What is known of a body once all of it was read and everything the client promised held. */
export interface Outcome {
  /** MD5 in hex, S3's ETag of a body stored in one piece. */
  readonly md5: string;
  readonly checksum: Checksum;
}

/** A body under way. `chunks` throws at its end when a promise is broken; then `outcome` throws too. */
export interface VerifiedBody {
  /** Decoded length in bytes, as announced. */
  readonly length: number;
  readonly chunks: AsyncIterable<Buffer>;
  readonly outcome: () => Outcome;
}

interface Promises {
  readonly length: number;
  readonly framing: ChunkFraming | undefined;
  readonly sha256: string | undefined;
  readonly md5: Buffer | undefined;
  readonly algorithm: ChecksumAlgorithm;
  /** Read when the body has ended, since it may come as a trailer. */
  readonly checksum: (trailers: Trailers) => string | undefined;
}

interface Digests {
  readonly md5: Digest;
  readonly checksum: Digest;
  readonly sha256: Digest | undefined;
}

/**
 * The request's body with everything checked that the client promised about it: length,
 * x-amz-content-sha256, Content-MD5, one x-amz-checksum-*, and chunk signatures.
 * `fallback` is the checksum to compute when the client names none.
 */
export function verifiedBody(
  request: S3Request,
  authenticated: Authenticated,
  fallback: ChecksumAlgorithm = defaultAlgorithm,
): VerifiedBody {
  const promises = promisesOf(request, authenticated, fallback);
  let outcome: Outcome | undefined;
  const chunks = readChecked(request.body, promises, (read) => {
    outcome = read;
  });
  return {
    length: promises.length,
    chunks,
    outcome: () => {
      if (outcome === undefined) throw incompleteBody();
      return outcome;
    },
  };
}

/** Reads a whole small body as text. `maxBytes` bounds what is held. Throws EntityTooLarge or what `verifiedBody` throws. */
export async function readText(body: VerifiedBody, maxBytes: number): Promise<string> {
  if (body.length > maxBytes) throw tooLarge(maxBytes);
  const pieces: Buffer[] = [];
  for await (const piece of body.chunks) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

/** The error for a body over its limit in bytes. */
export function tooLarge(maxBytes: number): S3Error {
  const message = "Your proposed upload exceeds the maximum allowed size";
  return new S3Error("EntityTooLarge", message, { facts: { MaxSizeAllowed: String(maxBytes) } });
}

function promisesOf(
  request: S3Request,
  authenticated: Authenticated,
  fallback: ChecksumAlgorithm,
): Promises {
  const { payload } = authenticated;
  const framing = framingOf(authenticated);
  const lengthName = framing === undefined ? "content-length" : "x-amz-decoded-content-length";
  const claimed = claimedChecksum(request);
  return {
    length: lengthOf(request.headers.get(lengthName)),
    framing,
    sha256: /^[0-9a-f]{64}$/.test(payload) ? payload : undefined,
    md5: md5Of(parameter(request, "content-md5")),
    algorithm: claimed?.algorithm ?? fallback,
    checksum: claimed?.value ?? (() => undefined),
  };
}

function framingOf({ payload, signer, signature }: Authenticated): ChunkFraming | undefined {
  if (payload === "UNSIGNED-PAYLOAD" || /^[0-9a-f]{64}$/.test(payload)) return undefined;
  const chain = { signer, seed: signature };
  if (payload === "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") return { chain, trailer: false };
  if (payload === "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") return { chain, trailer: true };
  if (payload === "STREAMING-UNSIGNED-PAYLOAD-TRAILER") return { trailer: true };
  const message =
    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, one of the STREAMING- values, or a valid sha256 value.";
  throw new S3Error("InvalidArgument", message);
}

function lengthOf(header: string | undefined): number {
  if (header === undefined || !/^\d{1,15}$/.test(header)) {
    throw new S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.");
  }
  return Number(header);
}

function md5Of(header: string | undefined): Buffer | undefined {
  if (header === undefined) return undefined;
  const bytes = Buffer.from(header, "base64");
  if (bytes.length === 16) return bytes;
  throw new S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.");
}

async function* readChecked(
  source: AsyncIterable<Buffer>,
  promises: Promises,
  done: (outcome: Outcome) => void,
): AsyncIterable<Buffer> {
  const trailers: Trailers = new Map();
  const { framing, length, algorithm } = promises;
  const digests: Digests = {
    md5: startDigest("md5"),
    checksum: startDigest(algorithm),
    sha256: promises.sha256 === undefined ? undefined : startDigest("sha256"),
  };
  let size = 0;
  const plain = framing === undefined ? source : decodeChunks(source, framing, trailers);
  for await (const data of plain) {
    size += data.length;
    if (size > length) throw incompleteBody();
    digests.md5.update(data);
    digests.checksum.update(data);
    digests.sha256?.update(data);
    yield data;
  }
  if (size !== length) throw incompleteBody();
  done(settle(promises, digests, trailers));
}

function settle(promises: Promises, digests: Digests, trailers: Trailers): Outcome {
  const { algorithm } = promises;
  const sha256 = digests.sha256?.end().toString("hex");
  if (sha256 !== promises.sha256) {
    const message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    throw new S3Error("XAmzContentSHA256Mismatch", message);
  }
  const md5 = digests.md5.end();
  if (promises.md5 !== undefined && !promises.md5.equals(md5)) {
    const message = "The Content-MD5 you specified did not match what we received.";
    throw new S3Error("BadDigest", message);
  }
  const computed = digests.checksum.end();
  const expected = promises.checksum(trailers);
  if (expected !== undefined && !checksumBytes(algorithm, expected).equals(computed)) {
    const message = `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`;
    throw new S3Error("BadDigest", message);
  }
  const checksum = { algorithm, value: computed.toString("base64"), type: "FULL_OBJECT" } as const;
  return { md5: md5.toString("hex"), checksum };
}

/** Digests stored bytes anew, for copies and for whole-object checksums of parts. */
export async function digestOf(
  chunks: AsyncIterable<Buffer>,
  algorithm: ChecksumAlgorithm,
): Promise<string> {
  const digest = startDigest(algorithm);
  for await (const chunk of chunks) digest.update(chunk);
  return digest.end().toString("base64");
}

/** Passes chunks on and keeps their MD5 and checksum; for bodies that need no check. */
export function digested(
  chunks: AsyncIterable<Buffer>,
  algorithm: ChecksumAlgorithm,
): { chunks: AsyncIterable<Buffer>; outcome: () => Outcome } {
  const md5 = createHash("md5");
  const digest = startDigest(algorithm);
  async function* pass(): AsyncIterable<Buffer> {
    for await (const chunk of chunks) {
      md5.update(chunk);
      digest.update(chunk);
      yield chunk;
    }
  }
  const outcome = (): Outcome => ({
    md5: md5.digest("hex"),
    checksum: { algorithm, value: digest.end().toString("base64"), type: "FULL_OBJECT" },
  });
  return { chunks: pass(), outcome };
}
