/** A kernel error as Node reports it: `code` is the errno name. */
export interface KernelError extends Error {
  readonly code: string;
}

/** An error as Node reports it from a system call. */
export function kernelError(code: string, where: string): KernelError {
  return Object.assign(new Error(`${code}: ${where}`), { code });
}

/** True for an error with an errno name, optionally one of `codes`. */
export function isKernelError(error: unknown, ...codes: readonly string[]): error is KernelError {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") {
    return false;
  }
  // Faults and Node's own ERR_ codes have a code too.
  if (!/^E[A-Z0-9]+$/.test(error.code)) return false;
  return codes.length === 0 || codes.includes(error.code);
}

/**
 * Everything Gatehouse does to a kernel goes through this port: the real one reads and writes files
 * below `root`, the simulated one is an in-memory kernel with the same errno behaviour (host.md §5.4).
 * Paths are absolute (`/sys/bus/pci/devices/0000:3b:00.0/vendor`). Failures reject with KernelError.
 */
export interface SysfsPort {
  /** Whole content, trailing newline removed. May wait for a device lock (host.md §1.1). */
  read(path: string): Promise<string>;
  /** Names in a directory, sorted. */
  list(path: string): Promise<readonly string[]>;
  /** Target of a symbolic link as stored. */
  readlink(path: string): Promise<string>;
  exists(path: string): Promise<boolean>;
  /**
   * One write(2) of the whole value to an existing attribute. May block for ever in the kernel, so
   * it ends with ETIMEDOUT after `deadlineMs`; the write may still happen later (host.md §3.1).
   */
  write(path: string, value: string, deadlineMs: number): Promise<void>;
  /** Holders of a device node, by /proc scan (host.md §3.3); none when there is no such node. */
  holders(deviceNode: string): Promise<readonly Holder[]>;
}

/** A process that has a device node open. */
export interface Holder {
  readonly pid: number;
  readonly command: string;
}

/** A holder as people are told of it: `qemu-system-x86 (4242)`. */
export function named({ command, pid }: Holder): string {
  return `${command} (${pid})`;
}
