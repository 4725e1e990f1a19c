import { machineDigest } from "#protocol/agent-token";
import { isKernelError, type SysfsPort } from "./host/sysfs-port.ts";

const bootIdPath = "/proc/sys/kernel/random/boot_id";
const machineIdPath = "/etc/machine-id";
const productUuidPath = "/sys/class/dmi/id/product_uuid";

/** The id of this boot, lower case. Rejects when the kernel does not tell it. */
export async function bootIdOf(kernel: Pick<SysfsPort, "read">): Promise<string> {
  return (await kernel.read(bootIdPath)).trim().toLowerCase();
}

/**
 * The digest that binds a key to this machine (design §6). A machine without one of the two ids is
 * bound to the other.
 */
export async function machineOf(kernel: Pick<SysfsPort, "read">): Promise<string> {
  const [machineId, productUuid] = await Promise.all(
    [machineIdPath, productUuidPath].map((path) => readOrNothing(kernel, path)),
  );
  return machineDigest(machineId ?? "", productUuid ?? "");
}

async function readOrNothing(kernel: Pick<SysfsPort, "read">, path: string): Promise<string> {
  try {
    return (await kernel.read(path)).trim();
  } catch (error) {
    if (isKernelError(error)) return "";
    throw error;
  }
}
