import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { SysfsPort } from "../sysfs-port.ts";
import type { KernelChildren } from "./children.ts";
import { holdersOf } from "./holders.ts";

/** Waits for the device lock, which an unbind may hold for ever (host.md §1.1, §3.4). */
const locked = /\/(driver_override|sriov_numvfs)$/;
const lockedMs = 10_000;

/** Copies in the kernel's memory: a round trip through the thread pool costs ten times the read. */
const remembered = /\/(vendor|device|class|subsystem_vendor|subsystem_device|numa_node)$/;

export interface LinuxOptions {
  /** Prefix of every path; empty for this machine. */
  readonly root: string;
  readonly children: KernelChildren;
}

/** This machine's kernel. Whatever may block runs in a child with a deadline. */
export function linuxSysfs({ root, children }: LinuxOptions): SysfsPort {
  return {
    async read(path) {
      const text = locked.test(path)
        ? await children.call({ verb: "read", path: root + path }, { deadlineMs: lockedMs })
        : await readPlain(root + path);
      return text.replace(/\n$/, "");
    },
    list: async (path) => readdirSync(root + path).sort(),
    readlink: async (path) => readlinkSync(root + path),
    exists: async (path) => existsSync(root + path),
    async write(path, value, deadlineMs) {
      await children.call({ verb: "write", path: root + path, value }, { deadlineMs });
    },
    holders: (node) => holdersOf(root, node),
  };
}

async function readPlain(path: string): Promise<string> {
  return remembered.test(path) ? readFileSync(path, "utf8") : await readFile(path, "utf8");
}
