import { Fault } from "#domain/faults";
import { isKernelError, type SysfsPort } from "./sysfs-port.ts";

/** Where every PCI function has a link (host.md §1.1). */
export const pciDevices = "/sys/bus/pci/devices";

const addressPattern = /^([0-9a-f]{4,8}):([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/;

/** A PCI address in its parts, each hex without 0x, as OpenStack and libvirt write them. */
export interface AddressParts {
  readonly domain: string;
  readonly bus: string;
  readonly slot: string;
  readonly function: string;
}

/** Splits `DDDD:BB:dd.f`; throws INVALID_REQUEST, because the text may become part of a path. */
export function addressParts(address: string): AddressParts {
  const [, domain, bus, slot, fn] = addressPattern.exec(address) ?? [];
  if (domain === undefined || bus === undefined || slot === undefined || fn === undefined) {
    throw new Fault("INVALID_REQUEST", "Not a PCI address", {
      field: "address",
      expected: "DDDD:BB:dd.f in lower case",
    });
  }
  return { domain, bus, slot, function: fn };
}

/** True for an address that may become part of a path. */
export function isPciAddress(text: string): boolean {
  return addressPattern.test(text);
}

/** The directory of a function; throws INVALID_REQUEST for anything but an address. */
export function pciPath(address: string): string {
  addressParts(address);
  return `${pciDevices}/${address}`;
}

/** The address `distance` routing ids behind `pf`: where SR-IOV puts its VFs. */
export function addressAfter(pf: string, distance: number): string {
  const parts = addressParts(pf);
  const slot = Number.parseInt(parts.slot, 16) * 8 + Number.parseInt(parts.function, 16);
  const id = Number.parseInt(parts.bus, 16) * 256 + slot + distance;
  const hex = (value: number) => value.toString(16).padStart(2, "0");
  return `${parts.domain}:${hex(id >> 8)}:${hex((id >> 3) & 31)}.${id & 7}`;
}

/**
 * A card's slot path from the target of its link below `/sys/bus/pci/devices`: the host bridge and
 * the device numbers down to the card. Bus numbers are left out, they change when something is
 * plugged elsewhere (design §2). Undefined when the target is no such link.
 */
export function slotPath(linkTarget: string): string | undefined {
  const parts = linkTarget.split("/").filter((part) => part !== "..");
  const [devices, bridge, ...functions] = parts;
  if (devices !== "devices" || bridge === undefined || functions.length === 0) return undefined;
  if (!functions.every(isPciAddress)) return undefined;
  const steps = functions.map((address) => address.slice(address.lastIndexOf(":") + 1));
  return [bridge, ...steps].join("-").replace(/\.[0-7]$/, "");
}

/**
 * A card's identity: its slot, and the function when it is not the first. Cards that are managed by
 * their first function have no others; a second function that is handed out is a card of its own.
 */
export function cardIdentity(linkTarget: string): string | undefined {
  const slot = slotPath(linkTarget);
  const fn = /\.([1-7])$/.exec(linkTarget)?.[1];
  return slot === undefined || fn === undefined ? slot : `${slot}.${fn}`;
}

/** What errors mean while devices come and go (host.md §1.1): there is nothing to read. */
const absent = ["ENOENT", "ENODEV", "EIO", "EBUSY", "ENXIO"] as const;

/** An attribute, or undefined when it cannot be read now. */
export async function readIfThere(port: SysfsPort, path: string): Promise<string | undefined> {
  try {
    return await port.read(path);
  } catch (error) {
    if (isKernelError(error, ...absent)) return undefined;
    throw error;
  }
}

/** Last part of a link's target, such as a driver's name; undefined without the link. */
export async function linkName(port: SysfsPort, path: string): Promise<string | undefined> {
  try {
    const target = await port.readlink(path);
    return target.slice(target.lastIndexOf("/") + 1);
  } catch (error) {
    if (isKernelError(error, ...absent)) return undefined;
    throw error;
  }
}

/** Names in a directory; empty when it is not there. */
export async function listIfThere(port: SysfsPort, path: string): Promise<readonly string[]> {
  try {
    return await port.list(path);
  } catch (error) {
    if (isKernelError(error, ...absent)) return [];
    throw error;
  }
}

/** One function as the kernel shows it. Ids are hex without 0x; `classCode` has 6 digits. */
export interface PciFunction {
  readonly address: string;
  readonly vendor: string;
  readonly device: string;
  readonly classCode: string;
}

/** Reads what identifies a function. Rejects with the kernel's error when it cannot be read. */
export async function readPciFunction(port: SysfsPort, address: string): Promise<PciFunction> {
  const path = pciPath(address);
  const [vendor, device, classCode] = await Promise.all(
    ["vendor", "device", "class"].map(async (name) =>
      (await port.read(`${path}/${name}`)).replace(/^0x/, ""),
    ),
  );
  return { address, vendor: vendor ?? "", device: device ?? "", classCode: classCode ?? "" };
}

/** Name of the driver that has the function, undefined when none. */
export function driverOf(port: SysfsPort, address: string): Promise<string | undefined> {
  return linkName(port, `${pciPath(address)}/driver`);
}

/** Number of the function's IOMMU group; undefined means the IOMMU is off. */
export async function groupOf(port: SysfsPort, address: string): Promise<number | undefined> {
  const name = await linkName(port, `${pciPath(address)}/iommu_group`);
  return name === undefined ? undefined : Number.parseInt(name, 10);
}

/** A NUMA node, undefined when unknown (the kernel says -1). */
export async function numaNodeOf(port: SysfsPort, address: string): Promise<number | undefined> {
  const node = Number.parseInt(
    (await readIfThere(port, `${pciPath(address)}/numa_node`)) ?? "-1",
    10,
  );
  return node >= 0 ? node : undefined;
}

/**
 * The VFs of a PF by number. Counts links instead of reading `sriov_numvfs`, which waits for the
 * device lock while VFs are being removed (host.md §3.4).
 */
export async function vfsOf(port: SysfsPort, pf: string): Promise<ReadonlyMap<number, string>> {
  const path = pciPath(pf);
  const found = new Map<number, string>();
  for (const name of await listIfThere(port, path)) {
    const number = /^virtfn(\d+)$/.exec(name)?.[1];
    const address = number === undefined ? undefined : await linkName(port, `${path}/${name}`);
    if (address !== undefined) found.set(Number(number), address);
  }
  return new Map([...found].sort(([a], [b]) => a - b));
}
