import type { InventoryDevice, InventoryHandle } from "#protocol/wire/inventory";

/**
 * Members of one IOMMU group go to one guest only (host.md §3.3), so only the first of them, by
 * address, stays attachable; the others say with whom they share it.
 */
export function onePerGroup(devices: readonly InventoryDevice[]): InventoryDevice[] {
  const first = new Map<number, string>();
  const all = devices.flatMap(({ deployables }) => deployables.flatMap(({ handles }) => handles));
  for (const { attachable, iommuGroup, address } of all) {
    if (!attachable || iommuGroup === undefined) continue;
    const known = first.get(iommuGroup);
    if (known === undefined || address < known) first.set(iommuGroup, address);
  }
  const judged = (handle: InventoryHandle): InventoryHandle => {
    const { attachable, iommuGroup, address } = handle;
    const chosen = iommuGroup === undefined ? undefined : first.get(iommuGroup);
    if (!attachable || chosen === undefined || chosen === address) return handle;
    return { ...handle, attachable: false, reason: `SHARES_GROUP_WITH ${chosen}` };
  };
  return devices.map((device) => ({
    ...device,
    deployables: device.deployables.map((deployable) => ({
      ...deployable,
      handles: deployable.handles.map(judged),
    })),
  }));
}
