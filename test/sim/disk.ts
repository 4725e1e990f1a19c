import { constants } from "node:fs";
import type { Files } from "../../agent/host/files.ts";
import { kernelError } from "../../agent/host/memory-kernel/state.ts";
import type { Faults } from "./faults.ts";
import type { Plant } from "./plants.ts";
import type { Random } from "./random.ts";

/** A file: what a process sees of it, and what would be left if power went off now. */
interface Inode {
  text: string;
  synced: string;
}

/** What a disk is made of. */
export interface DiskParts {
  readonly faults: Faults;
  readonly random: Random;
  readonly plant?: Plant | undefined;
}

/**
 * A disk in memory with the promises of a real one and no more: what was written is there for the
 * next process, but only what was synced survives power off, and a name only once its folder was
 * synced. What was not may be gone, whole, or torn.
 */
export class Disk {
  readonly #parts: DiskParts;
  #names = new Map<string, Inode>();
  /** Names as they are on the platter. */
  #kept = new Map<string, Inode>();

  constructor(parts: DiskParts) {
    this.#parts = parts;
  }

  /** The calls an agent uses; the handles have no more than it needs of them. */
  get files(): Files {
    const files = {
      lstat: async (path: string) => ({ size: this.#inode(path).text.length }),
      mkdir: async () => undefined,
      readdir: async (path: string) => this.#list(path),
      readFile: async (path: string) => this.#inode(path).text,
      rm: async (path: string) => void this.#names.delete(path),
      rename: async (from: string, to: string) => {
        const inode = this.#inode(from);
        this.#names.delete(from);
        this.#names.set(to, inode);
      },
      open: async (path: string, flags: number) => this.#open(path, flags),
    };
    return files as unknown as Files;
  }

  /** The content of a sealed record as a next process would find it. */
  recordAt(path: string): unknown {
    const text = this.#names.get(path)?.synced;
    return text === undefined ? undefined : JSON.parse(text.slice(text.indexOf("\n") + 1));
  }

  /** Power goes off: what was not synced is gone, or there, or torn. */
  powerOff(): void {
    const { random } = this.#parts;
    const names = random.chance(0.5) ? this.#kept : this.#names;
    for (const inode of names.values()) {
      if (inode.text === inode.synced) continue;
      const torn = inode.text.slice(0, random.below(inode.text.length + 1));
      inode.text = random.of([inode.synced, inode.text, torn]);
      inode.synced = inode.text;
    }
    this.#names = new Map(names);
    this.#kept = new Map(names);
  }

  /** Everything is gone, or one file is damaged. */
  lose(): string {
    const { random } = this.#parts;
    const paths = [...this.#names.keys()].sort();
    if (paths.length === 0 || random.chance(0.5)) {
      this.#names.clear();
      this.#kept.clear();
      return "everything";
    }
    const path = random.of(paths);
    const inode = this.#inode(path);
    inode.text = inode.text.slice(0, random.below(inode.text.length));
    inode.synced = inode.text;
    return path;
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw kernelError("ENOENT", path);
    return inode;
  }

  #list(folder: string): readonly string[] {
    const prefix = `${folder}/`;
    return [...this.#names.keys()]
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length))
      .sort();
  }

  #open(path: string, flags: number): object {
    const { faults, random, plant } = this.#parts;
    const [folder, close] = [path, async () => undefined];
    if ((flags & constants.O_WRONLY) === 0) {
      return { sync: async () => this.#syncFolder(folder), close, [Symbol.asyncDispose]: close };
    }
    if (faults.strikes("disk-full", random)) throw kernelError("ENOSPC", path);
    const inode: Inode = { text: "", synced: "" };
    this.#names.set(path, inode);
    return {
      writeFile: async (text: string) => {
        inode.text = plant?.written === undefined ? text : plant.written(path, text);
      },
      sync: async () => {
        inode.synced = inode.text;
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  }

  #syncFolder(folder: string): void {
    const isInside = (path: string) => path.startsWith(`${folder}/`);
    for (const path of this.#kept.keys()) {
      if (isInside(path) && !this.#names.has(path)) this.#kept.delete(path);
    }
    for (const [path, inode] of this.#names) if (isInside(path)) this.#kept.set(path, inode);
  }
}
