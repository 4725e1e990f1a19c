import { createHash } from "node:crypto";
import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { Fault, isFault } from "#domain/faults";
import { maxImageBytes } from "#protocol/images/digest";
import type { ImageReference } from "#protocol/wire/shapes";
import type { Place, VerifiedImage, Work } from "../drivers/driver.ts";
import { type CacheFolder, openCacheFolder } from "./cache-folder.ts";
import type { Sleep } from "./deadline.ts";
import { downloadInto, type Fetch, isPassing } from "./download.ts";
import { diskFault, type Files, nodeFiles } from "./files.ts";
import { type TrustPolicy, trustImage } from "./image-trust.ts";

export interface ImageCacheOptions {
  /** Made with mode 0700 when missing; must be a real folder of this user. */
  readonly folder: string;
  /** All images together, bytes. */
  readonly capBytes: number;
  /** One image, bytes; 256 MiB by default (host.md §6.2). */
  readonly maxImageBytes?: number;
  readonly fetch: Fetch;
  readonly allowedOrigins: readonly string[];
  readonly trust: TrustPolicy;
  readonly sleep: Sleep;
  /** Attempts of one download; 3 by default, with 0.5 s, 1 s … between them. */
  readonly attempts?: number;
  readonly files?: Files;
}

/** Bitstreams on this host, by sha256. */
export interface ImageCache {
  /** True when a file of the right size lies there; only {@link verify} says that it is good. */
  has(image: ImageReference): Promise<boolean>;
  /**
   * Downloads unless it is there. Two calls for one image share one download.
   * Throws DOWNLOAD_FAILED, IMAGE_CORRUPT, IMAGE_TOO_LARGE, DISK_FULL.
   */
  fetch(image: ImageReference, work: Work): Promise<void>;
  /**
   * Reads the file once and hashes, parses and returns that very buffer. A file that changed since
   * its download is deleted. Throws IMAGE_CORRUPT, IMAGE_INCOMPATIBLE and what trustImage throws.
   */
  verify(image: ImageReference, place: Place): Promise<VerifiedImage>;
  /** Keeps an image from eviction until as many calls of the returned function. */
  pin(sha256: string): () => void;
}

const { O_WRONLY, O_RDONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
const retryMs = 500;

interface Cache extends ImageCacheOptions {
  readonly files: Files;
  readonly store: CacheFolder;
  readonly pins: Map<string, number>;
  readonly running: Map<string, Promise<void>>;
}

/** Opens the cache; what an interrupted download left is removed. */
export async function openImageCache(options: ImageCacheOptions): Promise<ImageCache> {
  const files = options.files ?? nodeFiles;
  const pins = new Map<string, number>();
  const store = await openCacheFolder({
    folder: options.folder,
    capBytes: options.capBytes,
    pinned: (sha256) => (pins.get(sha256) ?? 0) > 0,
    files,
  });
  const cache: Cache = { ...options, files, store, pins, running: new Map() };
  return {
    has: (image) => store.has(image.sha256, image.size),
    fetch: (image, work) => fetchOnce(cache, image, work),
    verify: (image, place) => verifyFile(cache, image, place),
    pin: (sha256) => pin(pins, sha256),
  };
}

function pin(pins: Map<string, number>, sha256: string): () => void {
  pins.set(sha256, (pins.get(sha256) ?? 0) + 1);
  let held = true;
  return () => {
    if (held) pins.set(sha256, (pins.get(sha256) ?? 1) - 1);
    held = false;
  };
}

/** Downloads, or waits for a download of the same image that is under way. */
async function fetchOnce(cache: Cache, image: ImageReference, work: Work): Promise<void> {
  // No step between the last look and the entry may yield, or two would download.
  for (let other = cache.running.get(image.sha256); other; ) {
    // Another's download may end only because that other one was called off.
    const done = await other.then(
      () => true,
      () => false,
    );
    if (done) return;
    work.signal.throwIfAborted();
    other = cache.running.get(image.sha256);
  }
  const download = fetchMissing(cache, image, work).finally(() =>
    cache.running.delete(image.sha256),
  );
  cache.running.set(image.sha256, download);
  await download;
}

async function fetchMissing(cache: Cache, image: ImageReference, work: Work): Promise<void> {
  if (await cache.store.has(image.sha256, image.size)) return;
  const maxBytes = cache.maxImageBytes ?? maxImageBytes;
  if (image.size > maxBytes) {
    throw new Fault("IMAGE_TOO_LARGE", undefined, { field: "size", expected: `≤ ${maxBytes}` });
  }
  const unpin = pin(cache.pins, image.sha256);
  try {
    await cache.store.makeRoom(image.size);
    await withRetries(cache, work, () => attempt(cache, image, { work, maxBytes }));
  } finally {
    unpin();
  }
}

async function withRetries(cache: Cache, work: Work, once: () => Promise<void>): Promise<void> {
  const attempts = cache.attempts ?? 3;
  for (let tried = 1; ; tried++) {
    try {
      return await once();
    } catch (error) {
      work.signal.throwIfAborted();
      if (tried >= attempts || !isPassing(error)) throw error;
      await cache.sleep(retryMs * 2 ** (tried - 1), work.signal);
    }
  }
}

interface Attempt {
  readonly work: Work;
  readonly maxBytes: number;
}

/** One download beside the cache; it enters only when its digests are right and it is on disk. */
async function attempt(cache: Cache, image: ImageReference, { work, maxBytes }: Attempt) {
  const { store, files } = cache;
  const path = store.asideOf(image.sha256);
  try {
    await files.rm(path, { force: true });
    await using handle = await files.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    const write = (chunk: Uint8Array) => writeAll(cache, handle, chunk);
    await downloadInto({ ...cache, maxBytes }, image, { write, ...work });
    await handle.sync();
    await store.enter(image.sha256, image.md5);
  } catch (error) {
    await files.rm(path, { force: true });
    throw diskFault(error);
  }
}

/** A disk that is full although the cache is below its cap: others use it too, so we give way. */
async function writeAll(cache: Cache, handle: FileHandle, chunk: Uint8Array): Promise<void> {
  let rest = chunk;
  while (rest.length > 0) {
    try {
      const { bytesWritten } = await handle.write(rest);
      rest = rest.subarray(bytesWritten);
    } catch (error) {
      const fault = diskFault(error);
      if (!isFault(fault, "DISK_FULL") || !(await cache.store.evictOldest())) throw fault;
    }
  }
}

async function verifyFile(
  cache: Cache,
  image: ImageReference,
  place: Place,
): Promise<VerifiedImage> {
  const bytes = await readWhole(cache, image).catch(async (error: unknown) => {
    await cache.store.remove(image.sha256);
    if (isFault(error)) throw error;
    throw new Fault("IMAGE_CORRUPT", "The cached image cannot be read", {}, { cause: error });
  });
  const verified = trustImage(bytes, image, cache.trust);
  const wanted = place.deployable.interfaceId;
  if (verified.interfaceId !== undefined && verified.interfaceId !== wanted) {
    throw new Fault("IMAGE_INCOMPATIBLE", undefined, {
      expected: wanted ?? "a region that can be programmed",
    });
  }
  await cache.store.touch(image.sha256);
  return verified;
}

/** Large enough for few calls, small enough to give others a turn between two hashes. */
const sliceBytes = 4 << 20;

async function readWhole({ store, files }: Cache, image: ImageReference): Promise<Buffer> {
  await using handle = await files.open(store.pathOf(image.sha256), O_RDONLY | O_NOFOLLOW);
  const { nlink, size, uid, isFile } = await ownership(handle);
  if (!isFile || nlink !== 1 || uid !== process.getuid?.() || size !== image.size) {
    throw corrupt(image);
  }
  const bytes = Buffer.allocUnsafeSlow(size);
  const hash = createHash("sha256");
  for (let start = 0; start < size; ) {
    const length = Math.min(sliceBytes, size - start);
    const { bytesRead } = await handle.read(bytes, start, length, start);
    if (bytesRead === 0) throw corrupt(image);
    hash.update(bytes.subarray(start, start + bytesRead));
    start += bytesRead;
  }
  if (hash.digest("hex") !== image.sha256) throw corrupt(image);
  return bytes;
}

async function ownership(handle: FileHandle) {
  const stat = await handle.stat();
  return { nlink: stat.nlink, size: stat.size, uid: stat.uid, isFile: stat.isFile() };
}

function corrupt(image: ImageReference): Fault {
  return new Fault("IMAGE_CORRUPT", "The cached image is not what was downloaded", {
    field: "sha256",
    expected: image.sha256,
  });
}
