import { Fault } from "#domain/faults";
import type { Sleep } from "./deadline.ts";
import { pciPath, vfsOf } from "./pci.ts";
import { isKernelError, named, type SysfsPort } from "./sysfs-port.ts";
import { vfioHolders } from "./vfio-groups.ts";

/** What changing the number of VFs needs. `deadlineMs` bounds each write. */
export interface SriovHost {
  readonly port: SysfsPort;
  readonly sleep: Sleep;
  readonly deadlineMs: number;
  /** New VFs get no driver of the host, because they are for guests; they do by default. */
  readonly unprobed?: boolean;
}

/** VF links appear after the write returned; 2 s is what binding allows too (host.md §3.2). */
const settleMs = 2000;
const pollMs = 50;

/**
 * Gives a PF exactly `count` VFs. Writing 0 is all-or-none and destroys free neighbours of a held
 * VF, so it is refused with IN_USE while anybody holds one (host.md §3.4). Throws INVALID_REQUEST
 * when the card has fewer, CARD_STUCK when the kernel does not return, CARD_DEGRADED otherwise.
 */
export async function setVfs(host: SriovHost, pf: string, count: number): Promise<void> {
  const vfs = await vfsOf(host.port, pf);
  if (vfs.size === count) return;
  for (const address of vfs.values()) {
    const [holder] = await vfioHolders(host.port, address);
    if (holder)
      throw new Fault("IN_USE", `${address} is held by ${named(holder)}`, { address, holder });
  }
  if (vfs.size > 0) await writeCount(host, pf, 0);
  if (host.unprobed && count > 0) await leaveUnprobed(host, pf);
  if (count > 0) await writeCount(host, pf, count);
  await waitForVfs(host, pf, count);
}

/** Counts for VFs that are made after it only (host.md §3.4). */
async function leaveUnprobed({ port, deadlineMs }: SriovHost, pf: string): Promise<void> {
  const path = `${pciPath(pf)}/sriov_drivers_autoprobe`;
  if (await port.exists(path)) await port.write(path, "0", deadlineMs);
}

async function writeCount(host: SriovHost, pf: string, count: number): Promise<void> {
  try {
    await host.port.write(`${pciPath(pf)}/sriov_numvfs`, String(count), host.deadlineMs);
  } catch (error) {
    if (!isKernelError(error)) throw error;
    throw countFault(error.code, pf, count);
  }
}

function countFault(code: string, pf: string, count: number): Fault {
  const detail = { address: pf, count, errno: code };
  if (code === "ERANGE") return new Fault("INVALID_REQUEST", `${pf} has fewer VFs`, detail);
  if (code === "ETIMEDOUT") {
    return new Fault("CARD_STUCK", `Setting the VFs of ${pf} did not end`, detail);
  }
  if (code === "ENODEV") return new Fault("CARD_GONE", `${pf} vanished`, detail);
  return new Fault("CARD_DEGRADED", `${pf} refused ${count} VFs`, detail);
}

async function waitForVfs(host: SriovHost, pf: string, count: number): Promise<void> {
  for (let waited = 0; waited <= settleMs; waited += pollMs) {
    if ((await vfsOf(host.port, pf)).size === count) return;
    await host.sleep(pollMs);
  }
  throw new Fault("CARD_DEGRADED", `${pf} did not show ${count} VFs`, { address: pf, count });
}
