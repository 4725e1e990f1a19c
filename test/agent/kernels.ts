import type { Sleep } from "../../agent/host/deadline.ts";
import { type CardDescription, stockCards } from "../../agent/host/memory-kernel/cards.ts";
import { type MemoryKernel, memoryKernel } from "../../agent/host/memory-kernel/kernel.ts";
import type { MemoryKernelOptions } from "../../agent/host/memory-kernel/machine.ts";
import { cardIdOf } from "../../agent/host/memory-kernel/state.ts";
import { virtualClock } from "./virtual-clock.ts";

export const bootId = "11111111-1111-4111-8111-111111111111";
export const nextBootId = "22222222-2222-4222-8222-222222222222";
export const hostId = "33333333-3333-4333-8333-333333333333";

/** A process that stands for a virtual machine. */
export const guest = { pid: 4242, command: "qemu-system-x86" } as const;

/** Function 0 of the card in slot 0. */
export const firstPf = "0000:10:00.0";

export const devices = "/sys/bus/pci/devices";
export const drivers = "/sys/bus/pci/drivers";

export interface Bench {
  readonly kernel: MemoryKernel;
  readonly sleep: Sleep;
  readonly now: () => number;
  readonly ids: readonly string[];
}

/** A kernel on virtual time, with the ids of its cards in order. */
export function bench(
  cards: readonly CardDescription[] = stockCards(),
  options: Partial<MemoryKernelOptions> = {},
): Bench {
  const { sleep, now } = virtualClock();
  const kernel = memoryKernel({ cards, bootId, sleep, ...options });
  return { kernel, sleep, now, ids: cards.map(cardIdOf) };
}

/** Number of a function's IOMMU group. */
export async function group(kernel: MemoryKernel, address: string): Promise<string> {
  const target = await kernel.readlink(`${devices}/${address}/iommu_group`);
  return target.slice(target.lastIndexOf("/") + 1);
}

/** Brings a function to vfio-pci as host.md §3.2 says; returns its group's node. */
export async function toVfio(kernel: MemoryKernel, address: string): Promise<string> {
  const driver = await kernel.readlink(`${devices}/${address}/driver`).catch(() => undefined);
  await kernel.write(`${devices}/${address}/driver_override`, "vfio-pci", 1000);
  if (driver !== undefined) {
    const name = driver.slice(driver.lastIndexOf("/") + 1);
    await kernel.write(`${drivers}/${name}/unbind`, address, 1000);
  }
  await kernel.write("/sys/bus/pci/drivers_probe", address, 1000);
  return `/dev/vfio/${await group(kernel, address)}`;
}

/** Settles as true when the promise is still pending after everything else had its turn. */
export async function stillPending(promise: Promise<unknown>): Promise<boolean> {
  const done = promise.then(
    () => false,
    () => false,
  );
  const idle = new Promise<boolean>((resolve) => setImmediate(() => resolve(true)));
  return Promise.race([done, idle]);
}

/** The single name in the PF's base region that starts so. */
export async function nameOf(
  kernel: MemoryKernel,
  address: string,
  start: string,
): Promise<string> {
  const folder = `${devices}/${address}/fpga_region`;
  const [region] = await kernel.list(folder);
  const names = await kernel.list(`${folder}/${region}`);
  return `${folder}/${region}/${names.find((name) => name.startsWith(start))}`;
}

/** The management engine's node of the first card. */
export async function engineOf(kernel: MemoryKernel): Promise<string> {
  return `/dev/${(await nameOf(kernel, firstPf, "dfl-fme.")).split("/").at(-1)}`;
}

/** What the first port that a function shows has loaded. */
export async function afuOf(kernel: MemoryKernel, address: string): Promise<string> {
  return kernel.read(`${await nameOf(kernel, address, "dfl-port.")}/afu_id`);
}
