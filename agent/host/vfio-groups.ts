import { driverOf, groupOf, listIfThere, pciDevices, pciPath } from "./pci.ts";
import type { Holder, SysfsPort } from "./sysfs-port.ts";

/** The driver that hands a function to a guest. */
export const passThroughDriver = "vfio-pci";

/** Drivers that a guest's neighbours in one IOMMU group may have (host.md §3.3). */
const harmlessDrivers: readonly string[] = [passThroughDriver, "pci-stub", "pcieport"];

/** Whether a guest may have a group, and which members stand in the way. */
export interface GroupViability {
  readonly viable: boolean;
  readonly blockers: readonly { readonly address: string; readonly driver: string }[];
}

/** True when any VFIO driver has the function, variant drivers included (host.md §1.1). */
export function isOnVfio(port: SysfsPort, address: string): Promise<boolean> {
  return port.exists(`${pciPath(address)}/vfio-dev`);
}

/** Who has the function's group open. Uses the scan, never a probing open (host.md §3.3). */
export async function vfioHolders(port: SysfsPort, address: string): Promise<readonly Holder[]> {
  const group = await groupOf(port, address);
  return group === undefined ? [] : port.holders(`/dev/vfio/${group}`);
}

/**
 * Judges the other members of a function's group: each must be unbound or on a harmless driver.
 * The function itself may be on its host driver, it is going to leave it.
 */
export async function groupViability(port: SysfsPort, address: string): Promise<GroupViability> {
  const group = await groupOf(port, address);
  const members = await listIfThere(port, `/sys/kernel/iommu_groups/${group}/devices`);
  const blockers = [];
  for (const member of members.filter((one) => one !== address)) {
    const driver = await driverOf(port, member);
    if (driver === undefined || harmlessDrivers.includes(driver)) continue;
    if (!(await port.exists(`${pciDevices}/${member}/vfio-dev`))) {
      blockers.push({ address: member, driver });
    }
  }
  return { viable: group !== undefined && blockers.length === 0, blockers };
}
