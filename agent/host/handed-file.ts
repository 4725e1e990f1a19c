import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "#domain/faults";
import { diskFault } from "./files.ts";
import { isKernelError } from "./sysfs-port.ts";

const { O_WRONLY, O_RDONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_-]*\.[a-z]+$/;

/** Hex sha256, which names files that others read. */
export function sha256Of(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Where a file for another program goes. `name` is bare: it never becomes a path. */
export interface HandedFile {
  readonly folder: string;
  readonly name: string;
  readonly bytes: Buffer;
}

/**
 * Lends bytes as a read-only file to somebody who reads files only, and removes it afterwards. The
 * path holds no symbolic link (fpgaconf refuses them), nothing that lay there before is followed or
 * kept, and what lies there is hashed again before `use` is called (host.md §6.2).
 * Throws DISK_FULL, IMAGE_CORRUPT, PROGRAM_FAILED when the folder takes no file, INVALID_REQUEST for
 * a name that is none, and what `use` throws.
 */
export async function handOver<T>(
  { folder, name, bytes }: HandedFile,
  use: (path: string) => Promise<T>,
): Promise<T> {
  if (!namePattern.test(name)) {
    throw new Fault("INVALID_REQUEST", "Not a bare file name", { field: "name" });
  }
  const path = await write(folder, name, bytes);
  try {
    await requireSame(path, bytes);
    return await use(path);
  } finally {
    await rm(path, { force: true });
  }
}

async function write(folder: string, name: string, bytes: Buffer): Promise<string> {
  try {
    const path = join(await realpath(folder), name);
    // What a killed agent left may be half written, or somebody else's.
    await rm(path, { force: true });
    await using handle = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o400);
    await handle.writeFile(bytes);
    return path;
  } catch (error) {
    throw folderFault(error, folder);
  }
}

/** DISK_FULL, or PROGRAM_FAILED in place of an errno: that would be taken for the card's. */
export function folderFault(error: unknown, folder: string): unknown {
  const fault = diskFault(error);
  if (!isKernelError(fault)) return fault;
  const detail = { folder, errno: fault.code };
  return new Fault("PROGRAM_FAILED", `No file can be written to ${folder}`, detail);
}

async function requireSame(path: string, bytes: Buffer): Promise<void> {
  await using handle = await open(path, O_RDONLY | O_NOFOLLOW);
  const stats = await handle.stat();
  const own = stats.isFile() && stats.nlink === 1 && stats.uid === process.getuid?.();
  if (own && (await digest(handle)) === sha256Of(bytes)) return;
  throw new Fault("IMAGE_CORRUPT", "The file changed before a tool could read it");
}

async function digest(handle: FileHandle): Promise<string> {
  return sha256Of(await handle.readFile());
}
