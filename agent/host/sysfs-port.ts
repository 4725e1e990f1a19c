/** A kernel error as Node reports it: `code` is the errno name. */
export interface KernelError extends Error {
  readonly code: string;
}

/**
 * Everything Gatehouse does to a kernel goes through this port: the real one reads and writes files
 * below `root`, the simulated one is an in-memory kernel with the same errno behaviour (host.md §5.4).
 * Paths are absolute (`/sys/bus/pci/devices/0000:3b:00.0/vendor`). Failures reject with KernelError.
 */
export interface SysfsPort {
  /** Whole content, trailing newline removed. */
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
  /** Holders of a device node, by /proc scan (host.md §3.3). */
  holders(deviceNode: string): Promise<readonly Holder[]>;
}

/** A process that has a device node open. */
export interface Holder {
  readonly pid: number;
  readonly command: string;
}
