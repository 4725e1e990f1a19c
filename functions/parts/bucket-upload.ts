import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { Environment } from "../entry.ts";
import { s3From } from "./bucket.ts";
import { settingsFrom } from "./settings.ts";

/** Puts objects whose bytes stream by. */
export interface Uploader {
  /**
   * Puts an object. `approve` is called after the last byte: when it throws, as when a chunk does,
   * there is no object. Holds one part in memory.
   */
  write(key: string, chunks: AsyncIterable<Uint8Array>, approve: () => void): Promise<void>;
}

/** S3 takes no smaller part but the last, and at most 10,000 of them. */
export const partBytes: number = 8 * 1024 * 1024;

/** The uploader of this installation's image bucket. */
export function uploaderFrom(environment: Environment): Uploader {
  return s3Uploader(s3From(environment), settingsFrom(environment).bucket);
}

/** An uploader for any bucket. */
export function s3Uploader(client: S3Client, bucket: string): Uploader {
  return {
    write: async (key, chunks, approve) => {
      const parts = partsOf(chunks);
      const first = (await parts.next()).value ?? new Uint8Array();
      const where = { Bucket: bucket, Key: key };
      if (first.length < partBytes) {
        approve();
        await client.send(new PutObjectCommand({ ...where, Body: first }));
        return;
      }
      await writeParts(client, where, async function* all() {
        yield first;
        yield* parts;
        approve();
      });
    },
  };
}

interface Where {
  readonly Bucket: string;
  readonly Key: string;
}

async function writeParts(
  client: S3Client,
  where: Where,
  parts: () => AsyncIterable<Uint8Array>,
): Promise<void> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(where));
  const upload = { ...where, UploadId };
  try {
    const done: { readonly ETag: string | undefined; readonly PartNumber: number }[] = [];
    for await (const Body of parts()) {
      const PartNumber = done.length + 1;
      const { ETag } = await client.send(new UploadPartCommand({ ...upload, PartNumber, Body }));
      done.push({ ETag, PartNumber });
    }
    const MultipartUpload = { Parts: done };
    await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload }));
  } catch (error) {
    // Parts that stay behind cost money for ever, unless the bucket's own rule clears them.
    await client.send(new AbortMultipartUploadCommand(upload)).catch(() => undefined);
    throw error;
  }
}

/** Regroups chunks into parts of the full size, the last one shorter. */
async function* partsOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
  let part = new Uint8Array(partBytes);
  let filled = 0;
  for await (const chunk of chunks) {
    let rest = chunk;
    while (rest.length > 0) {
      const taken = rest.subarray(0, partBytes - filled);
      part.set(taken, filled);
      filled += taken.length;
      rest = rest.subarray(taken.length);
      if (filled < partBytes) continue;
      yield part;
      // The sender may still read the full one.
      part = new Uint8Array(partBytes);
      filled = 0;
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
  return undefined;
}
