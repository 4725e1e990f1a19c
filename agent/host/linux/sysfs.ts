import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { kernelError, type SysfsPort } from "../sysfs-port.ts";
import type { KernelChildren } from "./children.ts";
import { holdersOf } from "./holders.ts";

/** Waits for the device lock, which an unbind may hold for ever (host.md §1.1, §3.4). */
const locked = /\/(driver_override|sriov_numvfs)$/;
const lockedMs = 10_000;

/** Copies in the kernel's memory: a round trip through the thread pool costs ten times the read. */
const remembered =
  /\/(vendor|device|class|subsystem_vendor|subsystem_device|numa_node|compat_id|aer_dev_fatal|sriov_totalvfs|sriov_offset|sriov_stride)$/;

export interface LinuxOptions {
  /** Prefix of every path; empty for this machine. */
  readonly root: string;
  readonly children: KernelChildren;
}

/** What needs no privilege and never blocks: reading, by a process of any user. */
export function linuxReads(root: string): SysfsPort {
  return {
    async read(path) {
      const text = remembered.test(path)
        ? readFileSync(root + path, "utf8")
        : await readFile(root + path, "utf8");
      return text.replace(/\n$/, "");
    },
    list: async (path) => readdirSync(root + path).sort(),
    readlink: async (path) => readlinkSync(root + path),
    exists: async (path) => existsSync(root + path),
    async write(path) {
      throw kernelError("EPERM", path);
    },
    holders: (node) => holdersOf(root, node),
  };
}

/** This machine's kernel. Whatever may block runs in a child with a deadline. */
export function linuxSysfs({ root, children }: LinuxOptions): SysfsPort {
  const reads = linuxReads(root);
  return {
    ...reads,
    async read(path) {
      if (!locked.test(path)) return await reads.read(path);
      const request = { verb: "read", path: root + path } as const;
      return (await children.call(request, { deadlineMs: lockedMs })).replace(/\n$/, "");
    },
    async write(path, value, deadlineMs) {
      await children.call({ verb: "write", path: root + path, value }, { deadlineMs });
    },
  };
}
