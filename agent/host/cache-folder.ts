import { realpath, stat, utimes } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Fault } from "#domain/faults";
import { type Files, privateFolder, replaceFile } from "./files.ts";

export interface CacheFolderOptions {
  readonly folder: string;
  readonly capBytes: number;
  readonly pinned: (sha256: string) => boolean;
  readonly files: Files;
}

/** Files named by their sha256; the oldest use goes first. */
export interface CacheFolder {
  has(sha256: string, size: number): Promise<boolean>;
  pathOf(sha256: string): string;
  /** Where a download lies before it enters. */
  asideOf(sha256: string): string;
  /** Takes a finished download in, with its md5 beside it. */
  enter(sha256: string, md5: string): Promise<void>;
  /** Evicts until `size` more bytes fit. Throws DISK_FULL when what is left is pinned. */
  makeRoom(size: number): Promise<void>;
  /** Evicts the one image that was not used for longest; false when all are pinned. */
  evictOldest(): Promise<boolean>;
  remove(sha256: string): Promise<void>;
  /** Marks an image as used now. */
  touch(sha256: string): Promise<void>;
}

interface Entry {
  readonly sha256: string;
  readonly size: number;
  readonly usedAt: number;
}

const namePattern = /^([0-9a-f]{64})\.image$/;

/** Prepares the folder: real, private, without leftovers. Throws FORBIDDEN when it is not ours. */
export async function openCacheFolder(options: CacheFolderOptions): Promise<CacheFolder> {
  const { folder, files, capBytes, pinned } = options;
  await privateFolder(folder, files);
  await checkFolder(folder);
  for (const name of await files.readdir(folder)) {
    if (!/^[0-9a-f]{64}\.image(\.md5)?$/.test(name)) {
      await files.rm(join(folder, name), { force: true });
    }
  }
  const pathOf = (sha256: string) => join(folder, imageFileName(sha256));
  const asideOf = (sha256: string) => join(folder, `${sha256}.part`);
  const remove = async (sha256: string) => {
    await files.rm(pathOf(sha256), { force: true });
    await files.rm(`${pathOf(sha256)}.md5`, { force: true });
  };
  const evictOldest = async () => {
    const free = (await entriesOf(options)).filter(({ sha256 }) => !pinned(sha256));
    const [oldest] = free.sort((a, b) => a.usedAt - b.usedAt);
    if (oldest) await remove(oldest.sha256);
    return oldest !== undefined;
  };
  return {
    pathOf,
    asideOf,
    remove,
    evictOldest,
    has: async (sha256, size) =>
      (await entriesOf(options)).some((one) => one.sha256 === sha256 && one.size === size),
    async enter(sha256, md5) {
      await replaceFile(`${pathOf(sha256)}.md5`, `${md5}\n`, files);
      await files.rename(asideOf(sha256), pathOf(sha256));
    },
    async makeRoom(size) {
      for (;;) {
        const used = (await entriesOf(options)).reduce((sum, one) => sum + one.size, 0);
        if (used + size <= capBytes) return;
        if (!(await evictOldest())) {
          throw new Fault("DISK_FULL", "The image cache is full of images in use", { capBytes });
        }
      }
    },
    async touch(sha256) {
      const now = new Date();
      await utimes(pathOf(sha256), now, now);
    },
  };
}

/** A link or another user's folder would let somebody else choose what is programmed. */
async function checkFolder(folder: string): Promise<void> {
  const real = await realpath(folder);
  const { uid, mode } = await stat(folder);
  const own = uid === process.getuid?.() && (mode & 0o077) === 0;
  if (real !== resolve(folder) || !own) {
    throw new Fault("FORBIDDEN", `${folder} must be a real folder of the agent with mode 0700`);
  }
}

async function entriesOf({ folder, files }: CacheFolderOptions): Promise<readonly Entry[]> {
  const names = await files.readdir(folder);
  const entries = names.map(async (name): Promise<Entry | undefined> => {
    const sha256 = namePattern.exec(name)?.[1];
    if (sha256 === undefined) return undefined;
    const found = await files.lstat(join(folder, name)).catch(() => undefined);
    return found && { sha256, size: found.size, usedAt: found.mtimeMs };
  });
  return (await Promise.all(entries)).filter((entry) => entry !== undefined);
}

/** An image's name in the cache: chosen here, never from outside. */
export function imageFileName(sha256: string): string {
  return `${sha256}.image`;
}
