import { Fault } from "#domain/faults";
import type { Sleep } from "./deadline.ts";
import { hostUse } from "./host-use.ts";
import { driverOf, groupOf, pciPath, readIfThere, readPciFunction } from "./pci.ts";
import { isKernelError, named, type SysfsPort } from "./sysfs-port.ts";
import { groupViability, isOnVfio, passThroughDriver, vfioHolders } from "./vfio-groups.ts";

const bridgeClass = "06";

/** Storage, network, display and bridge classes, refused unless the operator lists the card. */
const refusedClasses: readonly string[] = ["01", "02", "03", bridgeClass];

/** True for a class that is given away only by the operator's word (host.md §6.2). */
export function isRefusedClass(classCode: string): boolean {
  return refusedClasses.includes(classCode.slice(0, 2));
}

/** The VFIO driver's nodes appear at most this long after the bind (host.md §3.2). */
const settleMs = 2000;
const pollMs = 50;

/** What binding needs of its host. */
export interface VfioHost {
  readonly port: SysfsPort;
  readonly sleep: Sleep;
  /** Bounds each write that may block in the kernel. */
  readonly deadlineMs: number;
  /** True for an address of the last scan that the operator's allow-list covers. */
  readonly allowed: (address: string) => boolean;
  /** True for one that may be of any class but a bridge, as long as the host does not use it. */
  readonly anyClass?: (address: string) => boolean;
}

/**
 * What a function was like before it was bound. To be in the journal, with the boot id, before
 * {@link bindVfio} touches anything; void after a reboot.
 */
export interface BindRecord {
  readonly address: string;
  readonly previousDriver: string | null;
  readonly previousOverride: string | null;
}

/** A function that is ready for a guest. */
export interface VfioBinding {
  readonly group: number;
  /** `/dev/vfio/<group>` */
  readonly node: string;
}

/**
 * Checks that a function may be bound and says what it is like now; touches nothing.
 * For a function that is on VFIO already, `previousDriver` is that driver: the journal's older
 * record then knows better. Throws CARD_GONE, FORBIDDEN, IN_USE by the host itself, NO_IOMMU,
 * GROUP_NOT_VIABLE, PLUG_FAILED.
 */
export async function prepareBind(host: VfioHost, address: string): Promise<BindRecord> {
  const path = pciPath(address);
  if (!host.allowed(address)) {
    throw new Fault("FORBIDDEN", `${address} is not on this host's list`, { address });
  }
  await checkClass(host, address);
  await checkExternal(host.port, address);
  if ((await groupOf(host.port, address)) === undefined) {
    throw new Fault("NO_IOMMU", `${address} has no IOMMU group`, { address });
  }
  const { viable, blockers } = await groupViability(host.port, address);
  if (!viable) throw new Fault("GROUP_NOT_VIABLE", undefined, { address, blockers });
  if (!(await host.port.exists("/sys/module/vfio_pci"))) {
    throw new Fault("PLUG_FAILED", "The module vfio-pci is not loaded", { address });
  }
  const override = await readIfThere(host.port, `${path}/driver_override`);
  return {
    address,
    previousDriver: (await driverOf(host.port, address)) ?? null,
    previousOverride: override === undefined || override === "(null)" ? null : override,
  };
}

async function checkClass(host: VfioHost, address: string): Promise<void> {
  const classCode = await classOf(host.port, address);
  if (!isRefusedClass(classCode)) return;
  if (classCode.startsWith(bridgeClass) || host.anyClass?.(address) !== true) {
    throw new Fault("FORBIDDEN", `${address} is of a class that is never given away`, {
      address,
      classCode,
    });
  }
  // Somebody may have mounted it since the last scan.
  const use = await hostUse(host.port, address);
  if (use !== undefined) throw new Fault("IN_USE", `The host uses ${address}: ${use}`, { address });
}

async function classOf(port: SysfsPort, address: string): Promise<string> {
  try {
    return (await readPciFunction(port, address)).classCode;
  } catch (error) {
    if (!isKernelError(error)) throw error;
    throw new Fault("CARD_GONE", `${address} cannot be read`, { address, errno: error.code });
  }
}

/** driverctl reapplies its overrides at any time: two masters would fight (host.md §3.2). */
async function checkExternal(port: SysfsPort, address: string): Promise<void> {
  if (await port.exists(`/etc/driverctl.d/pci-${address}`)) {
    throw new Fault("PLUG_FAILED", `driverctl manages ${address}`, {
      address,
      reason: "EXTERNALLY_MANAGED",
    });
  }
}

/**
 * Binds a function to vfio-pci (host.md §3.2); one that is bound already is left as it is.
 * If the kernel takes it but no node appears, what was before is restored.
 * Throws PLUG_FAILED, CARD_GONE, CARD_STUCK.
 */
export async function bindVfio(host: VfioHost, record: BindRecord): Promise<VfioBinding> {
  const { address } = record;
  const path = pciPath(address);
  try {
    // First of all, so that no rescan in between gives the host driver another chance.
    await host.port.write(`${path}/driver_override`, passThroughDriver, host.deadlineMs);
    if (!(await isOnVfio(host.port, address))) {
      await leaveDriver(host, address);
      await host.port.write("/sys/bus/pci/drivers_probe", address, host.deadlineMs);
    }
  } catch (error) {
    throw await undone(host, record, writeFault(error, "PLUG_FAILED", address));
  }
  const binding = await waitForNode(host, address);
  if (binding) return binding;
  const fault = new Fault("PLUG_FAILED", `${address} did not come to vfio-pci`, { address });
  throw await undone(host, record, fault);
}

/** A failed bind must not leave the function without its driver; a stuck one is not touched. */
async function undone(host: VfioHost, record: BindRecord, fault: Error): Promise<Error> {
  if (fault instanceof Fault && fault.code !== "PLUG_FAILED") return fault;
  await restoreDriver(host, record).catch(() => undefined);
  return fault;
}

async function waitForNode(host: VfioHost, address: string): Promise<VfioBinding | undefined> {
  for (let waited = 0; waited <= settleMs; waited += pollMs) {
    const group = await groupOf(host.port, address);
    const node = `/dev/vfio/${group}`;
    const bound = await isOnVfio(host.port, address);
    if (group !== undefined && bound && (await host.port.exists(node))) return { group, node };
    await host.sleep(pollMs);
  }
  return undefined;
}

/**
 * Takes a function from VFIO and gives it back to the driver of `record`; without a record to the
 * driver the kernel chooses. Does nothing for a function that is back already.
 * Throws IN_USE while a guest has it, UNPLUG_FAILED, CARD_GONE, CARD_STUCK.
 */
export async function unbindVfio(
  host: VfioHost,
  address: string,
  record?: BindRecord,
): Promise<void> {
  if (!(await host.port.exists(pciPath(address)))) {
    throw new Fault("CARD_GONE", `${address} is not on the bus`, { address });
  }
  const [holder] = await vfioHolders(host.port, address);
  if (holder)
    throw new Fault("IN_USE", `${address} is held by ${named(holder)}`, { address, holder });
  try {
    await restoreDriver(host, record ?? { address, previousOverride: null });
  } catch (error) {
    throw writeFault(error, "UNPLUG_FAILED", address);
  }
  await checkRestored(host, address, record);
}

async function checkRestored(
  { port }: VfioHost,
  address: string,
  record: BindRecord | undefined,
): Promise<void> {
  const driver = (await driverOf(port, address)) ?? null;
  const onVfio = await isOnVfio(port, address);
  if (record ? driver === record.previousDriver : !onVfio) return;
  throw new Fault("UNPLUG_FAILED", `${address} did not return to its driver`, {
    address,
    driver,
    expected: record ? (record.previousDriver ?? "no driver") : "the driver the kernel chooses",
  });
}

type Restore = Pick<BindRecord, "address" | "previousOverride"> & Partial<BindRecord>;

async function restoreDriver(host: VfioHost, record: Restore): Promise<void> {
  const { address, previousDriver, previousOverride } = record;
  if (previousDriver === passThroughDriver) return;
  const path = `${pciPath(address)}/driver_override`;
  // An empty write is no write; a line end clears (host.md §3.1).
  await host.port.write(path, previousOverride ?? "\n", host.deadlineMs);
  if (await isOnVfio(host.port, address)) await leaveDriver(host, address);
  // A function that had no driver stays without one: probing would find it one.
  if (previousDriver === null || (await driverOf(host.port, address)) !== undefined) return;
  await host.port.write("/sys/bus/pci/drivers_probe", address, host.deadlineMs);
}

async function leaveDriver(host: VfioHost, address: string): Promise<void> {
  const driver = await driverOf(host.port, address);
  if (driver === undefined) return;
  await host.port.write(`/sys/bus/pci/drivers/${driver}/unbind`, address, host.deadlineMs);
}

function writeFault(error: unknown, code: "PLUG_FAILED" | "UNPLUG_FAILED", address: string): Error {
  if (!isKernelError(error)) return error instanceof Error ? error : new Error(String(error));
  const detail = { address, errno: error.code };
  if (error.code === "ETIMEDOUT") {
    return new Fault("CARD_STUCK", `A driver change of ${address} did not end`, detail);
  }
  if (error.code === "ENODEV" || error.code === "ENOENT") {
    return new Fault("CARD_GONE", `${address} vanished`, detail);
  }
  return new Fault(code, `The kernel refused ${address}: ${error.code}`, detail);
}
