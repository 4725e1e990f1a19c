import { kernelError, type Wait } from "./state.ts";

/** An attribute. `locked` says that a reader or writer must wait for a lock now. */
export interface File {
  readonly kind: "file";
  readonly read?: () => string;
  readonly write?: (value: string) => Wait;
  readonly locked?: () => boolean;
}

export interface Link {
  readonly kind: "link";
  readonly target: string;
}

/** A directory; its entries are made when they are first asked for. */
export interface Dir {
  readonly kind: "dir";
  readonly entries: () => ReadonlyMap<string, Node>;
}

/** A device node below /dev: there to be opened, not to be read. */
export interface DeviceNode {
  readonly kind: "device";
}

export type Node = File | Link | Dir | DeviceNode;

/** Entries by name; undefined ones are not there. */
export type Entries = Readonly<Record<string, Node | undefined>>;

/** A directory whose entries are worked out once, at the first look into it. */
export function dir(make: () => Entries): Dir {
  let made: ReadonlyMap<string, Node> | undefined;
  const entries = () => {
    made ??= new Map(
      Object.entries(make()).filter((entry): entry is [string, Node] => entry[1] !== undefined),
    );
    return made;
  };
  return { kind: "dir", entries };
}

export function link(target: string): Link {
  return { kind: "link", target };
}

export const deviceNode: DeviceNode = { kind: "device" };

/** A read-only attribute (0444). */
export function shown(read: () => string): File {
  return { kind: "file", read };
}

/** An attribute whose value never changes while its directory exists. */
export function fixed(value: string): File {
  return { kind: "file", read: () => value };
}

/** A write-only attribute (0200). */
export function written(write: (value: string) => Wait): File {
  return { kind: "file", write };
}

/** The kernel's own limit on links in one path. */
const maxLinks = 40;

/** A path on its way: where it is, and what is left of it. */
interface Walk {
  readonly stack: Dir[];
  /** The next part is the last of these. */
  readonly parts: string[];
  readonly follow: boolean;
  links: number;
}

/**
 * Finds a path as the kernel does, following links on the way and, unless `follow` is false, at the
 * end. Throws ENOENT, ENOTDIR and ELOOP.
 */
export function walk(root: Dir, path: string, follow = true): Node {
  const found = find(root, path, follow);
  if (typeof found === "string") throw kernelError(found, path);
  return found;
}

/** As {@link walk}, with the errno in place of what is not there: most who ask only want to know. */
export function find(root: Dir, path: string, follow = true): Node | Errno {
  const way: Walk = { stack: [root], parts: split(path), follow, links: 0 };
  for (let part = way.parts.pop(); part !== undefined; part = way.parts.pop()) {
    const node = step(way, part);
    if (typeof node === "string") return node;
    if (way.parts.length === 0 && node) return node;
    if (node?.kind === "dir") way.stack.push(node);
    else if (node) return "ENOTDIR";
  }
  return way.stack.at(-1) ?? root;
}

type Errno = "ENOENT" | "ENOTDIR" | "ELOOP";

/** The node that `part` names; undefined when the way itself changed instead. */
function step(way: Walk, part: string): Node | Errno | undefined {
  if (part === "..") {
    if (way.stack.length > 1) way.stack.pop();
    return undefined;
  }
  const node = way.stack.at(-1)?.entries().get(part);
  if (!node) return "ENOENT";
  if (node.kind !== "link" || (!way.follow && way.parts.length === 0)) return node;
  if (++way.links > maxLinks) return "ELOOP";
  way.parts.push(...split(node.target));
  return undefined;
}

/** The parts of a path, the last one first. */
function split(path: string): string[] {
  const parts: string[] = [];
  for (let end = path.length; end > 0; ) {
    const start = path.lastIndexOf("/", end - 1) + 1;
    const part = path.slice(start, end);
    if (part !== "" && part !== ".") parts.push(part);
    end = start - 1;
  }
  return parts;
}
