import { sriovCard } from "../../../agent/host/memory-kernel/cards.ts";
import type { MemoryKernel } from "../../../agent/host/memory-kernel/kernel.ts";
import type { Holder, SysfsPort } from "../../../agent/host/sysfs-port.ts";
import { bench, devices, firstPf } from "../kernels.ts";
import { type Extra, type Extras, overlaid, shows, whileDriven } from "./overlay.ts";

export interface PlainCard {
  readonly kernel: MemoryKernel;
  readonly port: SysfsPort;
  /** Files of the host, such as `/proc/swaps`. */
  readonly host: Record<string, Extra>;
  /** Files below the function, while its driver has it. */
  readonly parts: Record<string, Extra>;
  /** Who has which node open. */
  readonly open: Record<string, Holder[]>;
}

/** Any PCI card of a class such as `0x010802`, with a driver of its own. */
export function plainCard(classCode: string, changes: Parameters<typeof sriovCard>[1] = {}) {
  const ids = { vendor: "abcd", device: "0001", subsystem: "abcd:0002" };
  const card = sriovCard(0, { ...ids, totalVfs: 4, bootVfs: 0, ...changes });
  const { kernel, sleep } = bench([card], { opaque: true });
  const pf = `${devices}/${firstPf}`;
  const host: Record<string, Extra> = {};
  const parts: Record<string, Extra> = {};
  const open: Record<string, Holder[]> = {};
  const extras = async (): Promise<Extras> => {
    const below = Object.fromEntries(
      Object.entries(parts).map(([name, extra]) => [`${pf}/${name}`, extra]),
    );
    const here = await kernel.exists(pf);
    const whole = here ? { [`${pf}/class`]: shows(() => classCode) } : {};
    return { ...whole, ...host, ...(await whileDriven(kernel, pf, () => below)) };
  };
  const overlay = overlaid(kernel, extras);
  const holders = async (node: string) => open[node] ?? overlay.holders(node);
  const found: PlainCard = { kernel, port: { ...overlay, holders }, host, parts, open };
  return { ...found, sleep };
}

/** An SSD's disk with one partition, and a host that has mounted nothing. */
export function withDisk(card: PlainCard): void {
  const target = `../../devices/pci0000:00/0000:00:01.0/${firstPf}/nvme/nvme0/nvme0n1`;
  card.host["/sys/class/block/nvme0n1"] = { link: target };
  card.host["/sys/class/block/nvme0n1p1"] = { link: `${target}/nvme0n1p1` };
  card.host["/sys/class/block/nvme0n1/dev"] = shows(() => "259:0");
  card.host["/sys/class/block/nvme0n1p1/dev"] = shows(() => "259:1");
  card.host["/sys/class/block/sda"] = { link: "../../devices/pci0000:00/0000:00:1f.2/ata1/sda" };
  card.host["/proc/self/mountinfo"] = shows(
    () => "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
  );
  card.host["/proc/swaps"] = shows(
    () => "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition",
  );
}
