import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const hex = (value: number): string => value.toString(16).padStart(2, "0");

/**
 * Files below `root` as sysfs shows so many DFL cards of one port, each behind a root port and in an
 * IOMMU group of its own (host.md §1.1, §1.3).
 */
export function dflTree(root: string, cards: number): void {
  for (let index = 0; index < cards; index += 1) addCard(root, index);
}

function addCard(root: string, index: number): void {
  const address = `0000:${hex(16 + index)}:00.0`;
  const above = `0000:00:${hex(index % 32)}.${Math.floor(index / 32)}`;
  const device = `sys/devices/pci0000:00/${above}/${address}`;
  const group = `sys/kernel/iommu_groups/${index}`;
  const base = `${device}/fpga_region/region${index}`;
  const engine = `${base}/dfl-fme.${index}`;
  const files: Readonly<Record<string, string>> = {
    [`${device}/vendor`]: "0x8086\n",
    [`${device}/device`]: "0x09c4\n",
    [`${device}/class`]: "0x120000\n",
    [`${device}/subsystem_vendor`]: "0x8086\n",
    [`${device}/subsystem_device`]: "0x0000\n",
    [`${device}/numa_node`]: "0\n",
    [`${device}/reset`]: "",
    [`${engine}/ports_num`]: "1\n",
    [`${engine}/dfl-fme-mgr.${index}/fpga_manager/fpga${index}/state`]: "operating\n",
    [`${engine}/dfl-fme-region.${index}/fpga_region/region${100 + index}/compat_id`]:
      "69528db6eb31577a9926ab6d6c925a68\n",
    [`${base}/dfl-port.${index}/id`]: "0\n",
    [`${base}/dfl-port.${index}/afu_id`]: "d8424dc4a4a3c413f89e433683f9040b\n",
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const links: Readonly<Record<string, string>> = {
    [`sys/bus/pci/devices/${address}`]: `../../../../${device}`,
    [`sys/bus/platform/devices/dfl-fme.${index}`]: `../../../../${engine}`,
    [`${device}/driver`]: "../../../../bus/pci/drivers/dfl-pci",
    [`${device}/iommu_group`]: `../../../../kernel/iommu_groups/${index}`,
    [`${group}/devices/${address}`]: `../../../../../${device}`,
  };
  for (const [path, target] of Object.entries(links)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    symlinkSync(target.replace("../../../../sys/", "../../../"), join(root, path));
  }
}
