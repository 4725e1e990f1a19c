import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "#domain/faults";
import type { ImageReference } from "#protocol/wire/shapes";
import { imageFileName } from "../host/cache-folder.ts";
import { type TrustPolicy, trustImage } from "../host/image-trust.ts";
import type { Bitstream } from "../host/pr-port.ts";
import type { FileReference } from "./requests.ts";

/** A blank image as the operator put it on this host. */
export interface BlankFile {
  readonly functionId: string;
  readonly interfaceId: string;
  readonly bytes: Buffer;
  readonly payloadOffset: number;
}

export interface JudgeOptions {
  /** The agent's image cache. Nothing in it is believed. */
  readonly folder: string;
  readonly maxBytes: number;
  readonly trust: TrustPolicy;
  readonly blanks: readonly BlankFile[];
}

/**
 * Reads what is to be loaded once, and judges the very bytes that go to the card: digest, header and
 * signature by the operator's own keys (host.md §6.2, TOCTOU). Throws the codes of trustImage,
 * IMAGE_CORRUPT, IMAGE_TOO_LARGE, INVALID_REQUEST for a blank image that is none.
 */
export async function judgedFile(options: JudgeOptions, file: FileReference): Promise<Bitstream> {
  if ("blank" in file) return blankFile(options, file.blank);
  const bytes = await readOnce(options, file.image);
  const { functionId, interfaceId, payloadOffset } = trustImage(bytes, file.image, options.trust);
  return {
    bytes: bytes.subarray(payloadOffset),
    file: bytes,
    functionId,
    ...(interfaceId === undefined ? {} : { interfaceId }),
  };
}

function blankFile({ blanks }: JudgeOptions, sha256: string): Bitstream {
  const found = blanks.find(({ bytes }) => digestOf(bytes) === sha256);
  if (!found) {
    throw new Fault("INVALID_REQUEST", "This host has no such blank image", { field: "blank" });
  }
  const { bytes, payloadOffset, functionId, interfaceId } = found;
  return { bytes: bytes.subarray(payloadOffset), file: bytes, functionId, interfaceId };
}

async function readOnce(options: JudgeOptions, image: ImageReference): Promise<Buffer> {
  const { folder, maxBytes } = options;
  if (image.size > maxBytes) {
    throw new Fault("IMAGE_TOO_LARGE", undefined, { field: "size", expected: `≤ ${maxBytes}` });
  }
  // Without waiting: a pipe in the file's place would hold this thread for ever.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    // The name is a digest by the request's schema: it cannot lead out of the folder.
    await using handle = await open(join(folder, imageFileName(image.sha256)), flags);
    const stat = await handle.stat();
    const own = stat.isFile() && stat.nlink === 1 && (stat.mode & 0o022) === 0;
    if (!own || stat.size !== image.size) throw corrupt(image);
    const bytes = await handle.readFile();
    if (bytes.length !== image.size || digestOf(bytes) !== image.sha256) throw corrupt(image);
    return bytes;
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault("IMAGE_CORRUPT", "The cached image cannot be read", {}, { cause: error });
  }
}

function corrupt({ sha256 }: ImageReference): Fault {
  return new Fault("IMAGE_CORRUPT", "The cached image is not what was downloaded", {
    field: "sha256",
    expected: sha256,
  });
}

/** Of a whole file, hex. */
export function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
