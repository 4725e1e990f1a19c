import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";

/** The part of a file handle that writing needs; a parameter so that a full disk can be tried out. */
export interface BlobFile {
  write(data: Uint8Array): Promise<{ bytesWritten: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** A run of bytes on disk. The name is random: nothing a client says becomes part of a path. */
export interface Segment {
  readonly blob: string;
  readonly size: number;
}

/** Opens a new file for writing; fails when it exists. */
export type OpenBlobFile = (path: string) => Promise<BlobFile>;

/** Immutable files: written aside, synced and renamed, so a name that exists is whole. */
export interface Blobs {
  /** Stores the bytes and returns where. Leaves nothing when `chunks` or the disk fails. */
  write(chunks: AsyncIterable<Buffer>): Promise<Segment>;
  /** The bytes `first..last` (inclusive) of the segments laid end to end. */
  read(segments: readonly Segment[], first: number, last: number): AsyncIterable<Buffer>;
  remove(segments: readonly Segment[]): Promise<void>;
  /** Removes what no entry of the catalogue names: the rest of writes that a crash cut off. */
  sweep(named: ReadonlySet<string>): Promise<void>;
}

/** Opens (and creates) the blob directories under `root`. */
export async function openBlobs(root: string, openFile: OpenBlobFile = create): Promise<Blobs> {
  const incoming = join(root, "incoming");
  const kept = join(root, "blobs");
  await rm(incoming, { recursive: true, force: true });
  await mkdir(incoming, { recursive: true });
  await mkdir(kept, { recursive: true });
  return {
    write: async (chunks) => {
      const blob = randomBytes(16).toString("hex");
      const path = join(incoming, blob);
      try {
        const size = await writeFile(await openFile(path), chunks);
        await rename(path, join(kept, blob));
        await syncDirectory(kept);
        return { blob, size };
      } catch (error) {
        await rm(path, { force: true });
        await rm(join(kept, blob), { force: true });
        throw error;
      }
    },
    read: (segments, first, last) => readSegments(kept, segments, { first, last }),
    remove: async (segments) => {
      for (const { blob } of segments) await rm(join(kept, blob), { force: true });
    },
    sweep: async (named) => {
      const orphans = (await readdir(kept)).filter((blob) => !named.has(blob));
      for (const blob of orphans) await rm(join(kept, blob), { force: true });
    },
  };
}

function create(path: string): Promise<BlobFile> {
  return open(path, "wx");
}

async function writeFile(file: BlobFile, chunks: AsyncIterable<Buffer>): Promise<number> {
  let size = 0;
  try {
    for await (const chunk of chunks) {
      await writeAll(file, chunk);
      size += chunk.length;
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return size;
}

async function writeAll(file: BlobFile, data: Buffer): Promise<void> {
  let rest = data;
  while (rest.length > 0) {
    const { bytesWritten } = await file.write(rest);
    rest = rest.subarray(bytesWritten);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function* readSegments(
  kept: string,
  segments: readonly Segment[],
  range: { first: number; last: number },
): AsyncIterable<Buffer> {
  let offset = 0;
  for (const { blob, size } of segments) {
    const start = Math.max(range.first - offset, 0);
    const end = Math.min(range.last - offset, size - 1);
    offset += size;
    if (start > end) continue;
    for await (const chunk of createReadStream(join(kept, blob), { start, end })) {
      yield chunk as Buffer;
    }
  }
}
