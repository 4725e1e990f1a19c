import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { lstat, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Fault } from "#domain/faults";
import { isKernelError } from "./sysfs-port.ts";

/** The calls that durable files need; tests give others to see a full disk. */
export const nodeFiles = { lstat, mkdir, open, readdir, readFile, rename, rm } as const;
export type Files = typeof nodeFiles;

const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;

/** DISK_FULL for the errnos of a full disk or quota, any other error as it came. */
export function diskFault(error: unknown): unknown {
  if (!isKernelError(error, "ENOSPC", "EDQUOT")) return error;
  return new Fault("DISK_FULL", undefined, { errno: error.code }, { cause: error });
}

/**
 * Replaces a file so that a crash at any point leaves the old or the new text, never a mixture:
 * write aside, fsync, rename, fsync the folder (host.md §3.6). One writer per path. Mode 0600.
 * Throws DISK_FULL; the old text is untouched then.
 */
export async function replaceFile(
  path: string,
  text: string,
  files: Files = nodeFiles,
): Promise<void> {
  await writeAside(path, text, files);
  await files.rename(asideOf(path), path);
  await syncFolder(dirname(path), files);
}

/** A folder that only the agent's user can enter; made when missing. */
export async function privateFolder(path: string, files: Files = nodeFiles): Promise<void> {
  await files.mkdir(path, { recursive: true, mode: 0o700 });
}

const asideOf = (path: string): string => `${path}.new`;
const previousOf = (path: string): string => `${path}.previous`;

async function writeAside(path: string, text: string, files: Files): Promise<void> {
  const flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW;
  try {
    await using handle = await files.open(asideOf(path), flags, 0o600);
    await handle.writeFile(text);
    await handle.sync();
  } catch (error) {
    await files.rm(asideOf(path), { force: true });
    throw diskFault(error);
  }
}

async function syncFolder(path: string, files: Files): Promise<void> {
  await using folder = await files.open(path, constants.O_RDONLY);
  await folder.sync();
}

/** What a durable file held, and whether the version before had to be taken. */
export interface Durable {
  readonly text: string;
  readonly version: "current" | "previous";
}

/**
 * Writes a text with a checksum and keeps the version before it beside the file: damage to one of
 * them costs one version and never the record. Throws DISK_FULL.
 */
export async function writeDurably(
  path: string,
  text: string,
  files: Files = nodeFiles,
): Promise<void> {
  await writeAside(path, `${seal(text)}\n${text}`, files);
  // A damaged file must not push out the good one before it.
  if ((await readSealed(path, files)).state === "good") await files.rename(path, previousOf(path));
  await files.rename(asideOf(path), path);
  await syncFolder(dirname(path), files);
}

/**
 * Reads what {@link writeDurably} wrote; undefined when neither version exists. Falls back to the
 * version before when the newest is damaged or was lost between two renames.
 * Throws JOURNAL_UNREADABLE when something is there and nothing of it is good.
 */
export async function readDurable(
  path: string,
  files: Files = nodeFiles,
): Promise<Durable | undefined> {
  const current = await readSealed(path, files);
  if (current.state === "good") return { text: current.text, version: "current" };
  const previous = await readSealed(previousOf(path), files);
  if (previous.state === "good") return { text: previous.text, version: "previous" };
  if (current.state === "absent" && previous.state === "absent") return undefined;
  throw new Fault("JOURNAL_UNREADABLE", `No version of ${path} is whole`, { path });
}

type Sealed =
  | { readonly state: "good"; readonly text: string }
  | { readonly state: "absent" | "damaged" };

async function readSealed(path: string, files: Files): Promise<Sealed> {
  try {
    const whole = await files.readFile(path, "utf8");
    const end = whole.indexOf("\n");
    const text = whole.slice(end + 1);
    const good = end > 0 && whole.slice(0, end) === seal(text);
    return good ? { state: "good", text } : { state: "damaged" };
  } catch (error) {
    return { state: isKernelError(error, "ENOENT") ? "absent" : "damaged" };
  }
}

function seal(text: string): string {
  return `gatehouse 1 sha256 ${createHash("sha256").update(text).digest("hex")}`;
}
