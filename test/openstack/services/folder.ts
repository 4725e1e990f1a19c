import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const kept = join(import.meta.dirname, "../../../.build/openstack");

/** A new folder for one run of one service. */
export function newFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `gatehouse-${name}-`));
}

/** What a prepared folder depends on. */
export interface Recipe {
  readonly name: string;
  /** The Debian package whose version the content belongs to. */
  readonly package: string;
  /** The file that says how it is made. */
  readonly source: string;
  /** Fills an empty folder; the content must not know its own path. */
  readonly make: (folder: string) => Promise<void>;
}

/**
 * Copies what takes long to make (databases with their schema, keys) into `folder`. It is made once for
 * each version of the package and of its source, and kept in `.build/openstack`.
 */
export async function prepared(recipe: Recipe, folder: string): Promise<void> {
  const version = execFileSync("dpkg-query", ["-W", "-f", "${Version}", recipe.package]);
  const digest = createHash("sha256")
    .update(version)
    .update(readFileSync(recipe.source))
    .digest("hex");
  const ready = join(kept, `${recipe.name}-${digest.slice(0, 12)}`);
  if (!existsSync(ready)) await keep(recipe, ready);
  cpSync(ready, folder, { recursive: true, preserveTimestamps: true });
}

/** Two runs may make the same at the same time: the first one to end is kept. */
async function keep(recipe: Recipe, ready: string): Promise<void> {
  mkdirSync(kept, { recursive: true });
  const draft = mkdtempSync(`${ready}.draft-`);
  try {
    await recipe.make(draft);
    renameSync(draft, ready);
  } catch (error) {
    if (!existsSync(ready)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Lets readers of a SQLite database go on while somebody writes; the file remembers it. */
export function readersNeverWait(database: string): void {
  const opened = new DatabaseSync(database);
  opened.exec("PRAGMA journal_mode = WAL");
  opened.close();
}
