import { Fault, isFault } from "#domain/faults";
import type { InventoryDevice } from "#protocol/wire/inventory";
import { driverOf, pciPath, readIfThere } from "../host/pci.ts";
import { isKernelError, type SysfsPort } from "../host/sysfs-port.ts";
import type { CardContext, CardFamily } from "./card-family.ts";
import type { CardOperation } from "./driver.ts";
import { requireSameCard, requireUnused } from "./programming.ts";

/**
 * An operation on a whole card (design §2), once it is the same card and nobody has any part of it.
 * A family that knows none has the one layout its cards have. Faults as Driver.operate says.
 */
export async function operate(
  context: CardContext,
  family: CardFamily,
  device: InventoryDevice,
  operation: CardOperation,
): Promise<void> {
  for (const deployable of device.deployables) {
    const target = { context, family, place: { device, deployable } };
    await requireSameCard(target);
    await requireUnused(target);
  }
  if (family.operate === undefined) {
    requireLayout(operation, device.layout);
    return;
  }
  try {
    await family.operate(context, device, operation);
  } catch (error) {
    throw operationFault(device, error);
  }
}

function operationFault({ cardId, address }: InventoryDevice, error: unknown): unknown {
  if (isFault(error) || !isKernelError(error)) return error;
  const detail = { card: cardId, address, errno: error.code };
  if (error.code === "ETIMEDOUT") {
    return new Fault("CARD_STUCK", "The operation on the card did not end", detail);
  }
  return new Fault("CARD_DEGRADED", `The kernel answered ${error.code}`, detail);
}

/** INVALID_REQUEST for anything but the layout that the card has anyway. */
export function requireLayout(
  { kind, layout }: CardOperation,
  only: InventoryDevice["layout"],
): void {
  if (kind === "rebind") {
    throw new Fault("INVALID_REQUEST", "kind: this card is not known to come back from a rebind", {
      field: "kind",
      expected: "layout or rescan",
    });
  }
  if (layout === only) return;
  const message = `layout: this card is offered as ${only} only`;
  throw new Fault("INVALID_REQUEST", message, { field: "layout", expected: only });
}

/** Refuses more VFs than the card has, before any of those it has now is taken away. */
export async function requireVfs(port: SysfsPort, pf: string, count: number): Promise<void> {
  // Never blocks, other than sriov_numvfs (host.md §3.4).
  const total = Number((await readIfThere(port, `${pciPath(pf)}/sriov_totalvfs`)) ?? 0);
  if (count <= total) return;
  const expected = total === 0 ? "a card with SR-IOV" : `at most ${total}`;
  throw new Fault("INVALID_REQUEST", `vfs: expected ${expected}`, { field: "vfs", expected });
}

/**
 * Takes a function off its driver and has the kernel choose one again, as it does for a new one: a
 * function that has lost its driver gets it back as well.
 */
export async function rebindPf({ port, writeDeadlineMs }: CardContext, pf: string): Promise<void> {
  const driver = await driverOf(port, pf);
  if (driver !== undefined) {
    await port.write(`/sys/bus/pci/drivers/${driver}/unbind`, pf, writeDeadlineMs);
  }
  await port.write("/sys/bus/pci/drivers_probe", pf, writeDeadlineMs);
}
