import { readdirSync, readFileSync, readlinkSync, type Stats, statSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { type Holder, isKernelError, kernelError } from "../sysfs-port.ts";

/** A process that ended, or a descriptor that was closed, while it was looked at. */
const passed = ["ENOENT", "ESRCH", "ENOTDIR", "EBADF"] as const;

/**
 * Who has a device node open, by a look at every process (host.md §3.3). Compares the device behind
 * a descriptor, not its path: another mount namespace shows another path. Rejects with EACCES when
 * a process cannot be looked into: not seeing a holder is not the same as there being none.
 */
export async function holdersOf(root: string, deviceNode: string): Promise<readonly Holder[]> {
  const wanted = ifThere(() => statSync(`${root}${deviceNode}`));
  if (wanted === undefined) return [];
  const found: Holder[] = [];
  for (const name of readdirSync(`${root}/proc`)) {
    if (!/^\d+$/.test(name) || !opens(`${root}/proc/${name}/fd`, wanted)) continue;
    const command = ifThere(() => readFileSync(`${root}/proc/${name}/comm`, "utf8").trim());
    found.push({ pid: Number(name), command: command ?? "" });
    await setImmediate();
  }
  return found;
}

function opens(folder: string, wanted: Stats): boolean {
  const descriptors = ifThere(() => readdirSync(folder)) ?? [];
  return descriptors.some((descriptor) => {
    const link = `${folder}/${descriptor}`;
    // Sockets, pipes and anonymous files have no path: asking what they are can be spared.
    if (ifThere(() => readlinkSync(link))?.startsWith("/") !== true) return false;
    const stats = ifThere(() => statSync(link));
    return stats !== undefined && isSameDevice(stats, wanted);
  });
}

function isSameDevice(one: Stats, other: Stats): boolean {
  if (one.isCharacterDevice() && other.isCharacterDevice()) return one.rdev === other.rdev;
  return one.dev === other.dev && one.ino === other.ino;
}

function ifThere<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isKernelError(error, ...passed)) return undefined;
    if (!isKernelError(error, "EACCES", "EPERM")) throw error;
    throw kernelError("EACCES", "looking for holders needs CAP_SYS_PTRACE");
  }
}
