import { withDeadline } from "../deadline.ts";
import type { SysfsPort } from "../sysfs-port.ts";
import { type Machine, nodeAt } from "./machine.ts";
import { kernelError, type Wait } from "./state.ts";
import { type File, walk } from "./tree.ts";

/** The file operations of a running kernel, with the write rules of host.md §3.1. */
export function attributes(machine: Machine): SysfsPort {
  return {
    async read(path) {
      if (!fileAt(machine, path).read) throw kernelError("EACCES", path);
      await unlocked(machine, path);
      return fileAt(machine, path).read?.().replace(/\n$/, "") ?? "";
    },
    async list(path) {
      const node = walk(machine.root(), path);
      if (node.kind !== "dir") throw kernelError("ENOTDIR", path);
      return [...node.entries().keys()].sort();
    },
    async readlink(path) {
      const node = walk(machine.root(), path, false);
      if (node.kind !== "link") throw kernelError("EINVAL", path);
      return node.target;
    },
    exists: async (path) => nodeAt(machine.root(), path) !== undefined,
    async write(path, value, deadlineMs) {
      if (!fileAt(machine, path).write) throw kernelError("EACCES", path);
      // Writing nothing is no write at all (host.md §3.1).
      if (value !== "") await writeAttribute(machine, { path, value, deadlineMs });
    },
    holders: async (node) => (machine.state().holders[node] ?? []).map((holder) => ({ ...holder })),
  };
}

function fileAt(machine: Machine, path: string): File {
  const node = walk(machine.root(), path);
  if (node.kind === "dir") throw kernelError("EISDIR", path);
  if (node.kind !== "file") throw kernelError("EINVAL", path);
  return node;
}

function unlocked(machine: Machine, path: string): Promise<void> {
  const file = fileAt(machine, path);
  return machine.until(machine.state(), () => file.locked?.() !== true);
}

interface Write {
  readonly path: string;
  readonly value: string;
  readonly deadlineMs: number;
}

async function writeAttribute(machine: Machine, write: Write): Promise<void> {
  const limit = {
    ms: write.deadlineMs,
    sleep: machine.sleep,
    late: () => kernelError("ETIMEDOUT", write.path),
  };
  const state = machine.state();
  const apply = async (): Promise<Wait> => {
    const wait = fileAt(machine, write.path).write?.(write.value);
    await machine.changed();
    return wait;
  };
  // The clock runs only for a write that blocks; one that came too late still happens.
  const locked = fileAt(machine, write.path).locked?.() === true;
  const wait = locked
    ? await withDeadline(unlocked(machine, write.path).then(apply), limit)
    : await apply();
  if (wait) await withDeadline(machine.until(state, wait), limit);
}
