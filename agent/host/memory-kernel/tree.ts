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
  readonly parts: string[];
  readonly follow: boolean;
  links: number;
}

/**
 * Finds a path as the kernel does, following links on the way and, unless `follow` is false, at the
 * end. Throws ENOENT, ENOTDIR and ELOOP.
 */
export function walk(root: Dir, path: string, follow = true): Node {
  const way: Walk = { stack: [root], parts: split(path), follow, links: 0 };
  for (let part = way.parts.shift(); part !== undefined; part = way.parts.shift()) {
    const node = step(way, part, path);
    if (way.parts.length === 0 && node) return node;
    if (node?.kind === "dir") way.stack.push(node);
    else if (node) throw kernelError("ENOTDIR", path);
  }
  return way.stack.at(-1) ?? root;
}

/** The node that `part` names; undefined when the way itself changed instead. */
function step(way: Walk, part: string, path: string): Node | undefined {
  if (part === "..") {
    if (way.stack.length > 1) way.stack.pop();
    return undefined;
  }
  const node = way.stack.at(-1)?.entries().get(part);
  if (!node) throw kernelError("ENOENT", path);
  if (node.kind !== "link" || (!way.follow && way.parts.length === 0)) return node;
  if (++way.links > maxLinks) throw kernelError("ELOOP", path);
  way.parts.unshift(...split(node.target));
  return undefined;
}

function split(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
