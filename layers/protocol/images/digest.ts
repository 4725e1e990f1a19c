import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { Fault } from "#domain/faults";
import { headBytesNeeded } from "./header.ts";

/** Hard cap on an image's size in bytes, 256 MiB (host.md §6.2). */
export const maxImageBytes: number = 256 * 1024 * 1024;

/** Digests in lower-case hex, size in bytes, and the leading bytes that `readImageHeader` needs. */
export interface ImageDigest {
  readonly md5: string;
  readonly sha256: string;
  readonly size: number;
  readonly head: Uint8Array;
}

/** Takes an image in chunks of any size, in order. */
export interface ImageDigester {
  /** Throws IMAGE_TOO_LARGE as soon as the bytes pass the cap, before it hashes them. */
  update(chunk: Uint8Array): void;
  /** The leading bytes so far, at most `headBytesNeeded`: a header can be judged mid-stream. */
  head(): Uint8Array;
  /** Ends the digest; to be called once. Throws IMAGE_TOO_LARGE when the cap was passed. */
  final(): ImageDigest;
}

/**
 * Digests an image while it streams by; holds only its head. MD5 is there because `<file>.md5` is
 * what users compare by hand, SHA-256 is what decides (host.md §6.2).
 */
export function imageDigest(maxBytes: number = maxImageBytes): ImageDigester {
  const md5 = createHash("md5");
  const sha256 = createHash("sha256");
  const captured = Buffer.alloc(headBytesNeeded);
  let size = 0;
  const head = () => captured.subarray(0, Math.min(size, headBytesNeeded));
  const checkSize = () => {
    if (size > maxBytes) {
      throw new Fault("IMAGE_TOO_LARGE", undefined, { field: "size", expected: `${maxBytes}` });
    }
  };
  return {
    update(chunk) {
      const start = size;
      size += chunk.length;
      checkSize();
      if (start < headBytesNeeded) captured.set(chunk.subarray(0, headBytesNeeded - start), start);
      md5.update(chunk);
      sha256.update(chunk);
    },
    head,
    final() {
      checkSize();
      return { md5: md5.digest("hex"), sha256: sha256.digest("hex"), size, head: head() };
    },
  };
}
