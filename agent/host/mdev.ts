import { Fault } from "#domain/faults";
import { isUuid } from "#protocol/uuid";
import { linkName } from "./pci.ts";
import { isKernelError, type KernelError, named, type SysfsPort } from "./sysfs-port.ts";

/** Where parents of mediated devices are, and the devices themselves (host.md §4.4). */
const parents = "/sys/class/mdev_bus";
const devices = "/sys/bus/mdev/devices";

const parentName = /^[A-Za-z0-9:._-]{1,64}$/;

/** What making and ending a mediated device needs. `deadlineMs` bounds each write. */
export interface MdevHost {
  readonly port: SysfsPort;
  readonly deadlineMs: number;
}

/** The directory of a mediated device; throws INVALID_REQUEST for anything but a uuid. */
export function mdevPath(uuid: string): string {
  if (!isUuid(uuid)) {
    throw new Fault("INVALID_REQUEST", "Not a uuid", { field: "mdev", expected: "a uuid" });
  }
  return `${devices}/${uuid}`;
}

/** Number of its IOMMU group; undefined when there is no such device. */
export async function mdevGroup(port: SysfsPort, uuid: string): Promise<number | undefined> {
  const name = await linkName(port, `${mdevPath(uuid)}/iommu_group`);
  return name === undefined ? undefined : Number.parseInt(name, 10);
}

/**
 * Makes a mediated device of a parent's type; one that is there already is left as it is. Throws
 * INVALID_REQUEST for names that are none, NOT_FOUND without such a parent or type, NO_CAPACITY when
 * no instance is left, CARD_STUCK when the kernel does not return.
 */
export async function createMdev(
  { port, deadlineMs }: MdevHost,
  { parent, type, uuid }: { readonly parent: string; readonly type: string; readonly uuid: string },
): Promise<void> {
  if (await port.exists(mdevPath(uuid))) return;
  const field = [parent, type].findIndex((name) => !parentName.test(name) || /^\.+$/.test(name));
  if (field >= 0) {
    throw new Fault("INVALID_REQUEST", "Not a name", { field: ["parent", "type"][field] ?? "" });
  }
  const folder = `${parents}/${parent}/mdev_supported_types/${type}`;
  if (!(await port.exists(folder))) {
    throw new Fault("NOT_FOUND", `There is no ${type} of ${parent}`, { parent, type });
  }
  try {
    await port.write(`${folder}/create`, uuid, deadlineMs);
  } catch (error) {
    if (isKernelError(error, "EEXIST")) return;
    if (isKernelError(error)) throw createFault(error, `${type} of ${parent}`);
    throw error;
  }
}

function createFault({ code }: KernelError, what: string): Fault {
  if (code === "ETIMEDOUT") return new Fault("CARD_STUCK", `Making a ${what} did not end`);
  if (code === "ENOSPC" || code === "EUSERS" || code === "EPERM") {
    return new Fault("NO_CAPACITY", `There is no ${what} left`, { errno: code });
  }
  return new Fault("CARD_DEGRADED", `The kernel refused a ${what}: ${code}`, { errno: code });
}

/**
 * Ends a mediated device; none is done already. The kernel would wait for a holder for ever, so it is
 * refused with IN_USE while there is one (host.md §4.4). Throws CARD_STUCK, CARD_DEGRADED.
 */
export async function removeMdev({ port, deadlineMs }: MdevHost, uuid: string): Promise<void> {
  const group = await mdevGroup(port, uuid);
  if (group === undefined) return;
  const [holder] = await port.holders(`/dev/vfio/${group}`);
  if (holder) throw new Fault("IN_USE", `${uuid} is held by ${named(holder)}`, { holder });
  try {
    await port.write(`${mdevPath(uuid)}/remove`, "1", deadlineMs);
  } catch (error) {
    if (!isKernelError(error)) throw error;
    if (error.code === "ENOENT" || error.code === "ENODEV") return;
    const code = error.code === "ETIMEDOUT" ? "CARD_STUCK" : "CARD_DEGRADED";
    throw new Fault(code, `${uuid} could not be removed: ${error.code}`, { errno: error.code });
  }
}
