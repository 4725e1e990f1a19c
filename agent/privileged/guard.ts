import { Fault } from "#domain/faults";
import { type CardTable, knownCards } from "../drivers/pci-ids.ts";
import { linkName, pciPath, readIfThere, readPciFunction, vfsOf } from "../host/pci.ts";
import { isKernelError, kernelError, named, type SysfsPort } from "../host/sysfs-port.ts";
import { isRefusedClass } from "../host/vfio.ts";
import { vfioHolders } from "../host/vfio-groups.ts";
import { type KnownWrite, knownWrite } from "./grammar.ts";

/** What decides which functions may be touched. */
export interface GuardOptions {
  readonly port: SysfsPort;
  /** The operator's entries. */
  readonly cards: CardTable;
  /** What the operator keeps, in the words of {@link CardTable}'s keys. */
  readonly deny: readonly string[];
}

const bridgeClass = "06";
const acceleratorClass = "12";

/**
 * Judges a write before it happens: on the list, about a function that is an accelerator by its ids,
 * its class or the operator's list, and never about a bridge. VFs follow their PF. Rejects with
 * EPERM, ENODEV, and IN_USE for a change of VFs while anybody holds one (host.md §3.4).
 */
export async function judgeWrite(
  options: GuardOptions,
  path: string,
  value: string,
): Promise<KnownWrite> {
  const write = knownWrite(path, value);
  if (write === undefined) throw kernelError("EPERM", `${path} is on no list, or its value is not`);
  await requireOurs(options, write.address);
  if (write.verb === "vfs") await requireFreeVfs(options.port, write.address);
  return write;
}

/** Rejects with EPERM unless the function may be touched at all. */
export async function requireOurs(options: GuardOptions, address: string): Promise<void> {
  const { port, cards, deny } = options;
  const pf = (await linkName(port, `${pciPath(address)}/physfn`)) ?? address;
  const keys = [pf, ...(await idKeys(port, pf))];
  const { classCode } = await functionAt(port, address);
  const pfClass = pf === address ? classCode : (await functionAt(port, pf)).classCode;
  const listed = keys.some((key) => key in cards);
  const known = keys.some((key) => key in knownCards) || pfClass.startsWith(acceleratorClass);
  const kept = keys.some((key) => deny.includes(key));
  if (classCode.startsWith(bridgeClass) || kept) throw refused(address);
  if (listed || (known && !isRefusedClass(classCode))) return;
  throw refused(address);
}

async function functionAt(port: SysfsPort, address: string) {
  try {
    return await readPciFunction(port, address);
  } catch (error) {
    if (isKernelError(error)) throw kernelError("ENODEV", address);
    throw error;
  }
}

async function idKeys(port: SysfsPort, address: string): Promise<readonly string[]> {
  const { vendor, device } = await functionAt(port, address);
  const parts = await Promise.all(
    ["subsystem_vendor", "subsystem_device"].map((name) =>
      readIfThere(port, `${pciPath(address)}/${name}`),
    ),
  );
  const subsystem = parts.map((part) => part?.replace(/^0x/, ""));
  return [`${vendor}:${device}`, [vendor, device, ...subsystem].join(":")];
}

async function requireFreeVfs(port: SysfsPort, pf: string): Promise<void> {
  for (const address of (await vfsOf(port, pf)).values()) {
    const [holder] = await vfioHolders(port, address);
    if (holder) throw new Fault("IN_USE", `${address} is held by ${named(holder)}`, { address });
  }
}

function refused(address: string): Error {
  return kernelError("EPERM", `${address} is no accelerator, and not on this host's list`);
}
