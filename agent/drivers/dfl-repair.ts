import { isFault } from "#domain/faults";
import { setVfs } from "../host/sriov.ts";
import { isKernelError } from "../host/sysfs-port.ts";
import { isOnVfio } from "../host/vfio-groups.ts";
import { type CardContext, degraded } from "./card-family.ts";
import { beginRenewal, portsWithVf, recallDfl, rememberDfl } from "./dfl-memory.ts";
import { type DflPort, type DflView, readDfl } from "./dfl-view.ts";
import type { Place } from "./driver.ts";
import { rebindPf } from "./operating.ts";

/**
 * The only cure for a port that a failed program left in reset: unbind and bind the PF, then make
 * the VFs again (host.md §2.5a). It takes all ports of the card away for a moment, so it is refused
 * with CARD_DEGRADED while any of them is in use. Throws CARD_STUCK when the kernel blocks.
 */
export async function rebindDfl(context: CardContext, place: Place): Promise<void> {
  const view = await readDfl(context.port, place.device.address);
  for (const port of view.ports) await requireFree(context, place, port);
  const vfs = portsWithVf(context, place.device.cardId, view);
  try {
    await renewDfl(context, place.device, view, vfs);
  } catch (error) {
    if (isPlain(error)) throw error;
    throw degraded(place, `The card could not be brought back: ${String(error)}`);
  }
}

/** What says more than that the card is degraded. */
function isPlain(error: unknown): boolean {
  const isKnown = isFault(error, "CARD_STUCK") || isFault(error, "DISK_FULL");
  return isKnown || isKernelError(error, "ETIMEDOUT");
}

/**
 * Gives a card that no driver has back to its own, with the VFs it had when a change was cut off.
 * Throws CARD_DEGRADED when that does not take it.
 */
export async function bindDfl(context: CardContext, place: Place, view: DflView): Promise<void> {
  const { cardId } = place.device;
  try {
    await renewDfl(context, place.device, view, recallDfl(context, cardId)?.renewal?.vfs ?? []);
  } catch (error) {
    if (isPlain(error)) throw error;
    throw degraded(place, `The card has lost its driver: ${String(error)}`);
  }
}

/**
 * Gives VFs to exactly these ports of an unused card. Ports that were released come back without
 * their driver when they are assigned (host.md §2.5b), so the PF is bound anew instead.
 */
export async function renewDfl(
  context: CardContext,
  { cardId, address: pf }: Pick<Place["device"], "cardId" | "address">,
  view: DflView,
  released: readonly number[],
): Promise<void> {
  beginRenewal(context, cardId, { view, vfs: released });
  const host = { ...context, deadlineMs: context.writeDeadlineMs };
  await setVfs(host, pf, 0);
  await rebindPf(context, pf);
  const now = await readDfl(context.port, pf);
  for (const id of released) await context.pr.releasePort(now.engine, id);
  await setVfs(host, pf, released.length);
  rememberDfl(context, cardId, now);
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
