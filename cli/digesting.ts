import { type ImageDigest, imageDigest } from "#protocol/images/digest";
import { type ImageHeader, readImageHeader } from "#protocol/images/header";
import { checkMetadata, type ImageMetadata } from "#protocol/images/metadata";
import type { Context } from "./command.ts";
import { Interrupted } from "./failure.ts";
import { withPath } from "./files.ts";

/** An image file as read once from its beginning to its end. */
export interface LocalImage {
  readonly path: string;
  readonly digest: ImageDigest;
  readonly header: ImageHeader;
}

/**
 * Digests a file while streaming it and reads its header, so that a wrong file is refused before
 * anything is sent. Throws INVALID_REQUEST for the path and the IMAGE_* faults for its contents.
 */
export async function readImage(
  context: Context,
  path: string,
  metadata: ImageMetadata,
): Promise<LocalImage> {
  const { io } = context;
  const size = await withPath(path, io.files.size(path));
  const progress = context.progress("reading");
  const digester = imageDigest();
  let done = 0;
  try {
    await withPath(path, feed());
  } finally {
    progress.end();
  }
  const digest = digester.final();
  const header = readImageHeader(digest.head, digest.size);
  checkMetadata(header, metadata);
  return { path, digest, header };

  async function feed() {
    for await (const chunk of io.files.chunks(path)) {
      if (io.interrupted.aborted) throw new Interrupted("nothing was sent");
      digester.update(chunk);
      done += chunk.length;
      progress.show(size === 0 ? 100 : (done / size) * 100);
    }
  }
}
