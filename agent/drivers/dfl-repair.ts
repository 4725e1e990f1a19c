import { isFault } from "#domain/faults";
import { driverOf } from "../host/pci.ts";
import { setVfs } from "../host/sriov.ts";
import { isKernelError } from "../host/sysfs-port.ts";
import { isOnVfio } from "../host/vfio-groups.ts";
import { type CardContext, degraded } from "./card-family.ts";
import { type DflPort, readDfl } from "./dfl-view.ts";
import type { Place } from "./driver.ts";

/**
 * The only cure for a port that a failed program left in reset: unbind and bind the PF, then make
 * the VFs again (host.md §2.5a). It takes all ports of the card away for a moment, so it is refused
 * with CARD_DEGRADED while any of them is in use. Throws CARD_STUCK when the kernel blocks.
 */
export async function rebindDfl(context: CardContext, place: Place): Promise<void> {
  const pf = place.device.address;
  const { ports } = await readDfl(context.port, pf);
  for (const port of ports) await requireFree(context, place, port);
  const vfs = ports.filter((port) => port.vf);
  const host = { ...context, deadlineMs: context.writeDeadlineMs };
  try {
    await setVfs(host, pf, 0);
    await rebindPf(context, pf);
    const { engine } = await readDfl(context.port, pf);
    for (const { id } of vfs) await context.pr.releasePort(engine, id);
    await setVfs(host, pf, vfs.length);
  } catch (error) {
    if (isFault(error, "CARD_STUCK") || isKernelError(error, "ETIMEDOUT")) throw error;
    throw degraded(place, `The card could not be brought back: ${String(error)}`);
  }
}

async function rebindPf({ port, writeDeadlineMs }: CardContext, pf: string): Promise<void> {
  const driver = (await driverOf(port, pf)) ?? "dfl-pci";
  const path = `/sys/bus/pci/drivers/${driver}`;
  await port.write(`${path}/unbind`, pf, writeDeadlineMs);
  await port.write(`${path}/bind`, pf, writeDeadlineMs);
}

async function requireFree(
  { port: kernel }: CardContext,
  place: Place,
  { node, vf, id }: DflPort,
): Promise<void> {
  const onVfio = vf !== undefined && (await isOnVfio(kernel, vf.address));
  const held = node !== undefined && (await kernel.holders(node)).length > 0;
  if (onVfio || held) {
    throw degraded(place, `The card needs a rebind, but its port ${id} is in use`);
  }
}
