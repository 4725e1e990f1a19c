import { Fault, isFault } from "#domain/faults";
import { afiFunctionId, parseAfi } from "#protocol/images/afi";
import { deployableId, uuidOf } from "#protocol/uuid";
import type { InventoryHandle } from "#protocol/wire/inventory";
import type { Health, Loaded } from "#protocol/wire/shapes";
import type { AfiSlot } from "../host/afi-slots.ts";
import { driverOf, pciPath } from "../host/pci.ts";
import type { SysfsPort } from "../host/sysfs-port.ts";
import { isKernelError } from "../host/sysfs-port.ts";
import { afiError } from "../host/tool-calls.ts";
import { passThroughDriver } from "../host/vfio-groups.ts";
import {
  type CardContext,
  type CardFamily,
  degraded,
  deviceOf,
  handleAt,
  loadedPart,
  pcieHealth,
} from "./card-family.ts";
import type { Place } from "./driver.ts";
import { scrubPart } from "./scrub-method.ts";

const region = "card";

/** `StatusCode` of fpga-describe-local-image (host.md §1.6). */
const status = { loaded: 0, cleared: 1, busy: 2, notProgrammed: 3, failed: 7 } as const;

/** A clear takes seconds; after a minute nothing more is to be hoped for. Ours, not measured. */
const clearedMs = 60_000;
/** How long loads of other slots may hold up this one; less than any caller's deadline. */
const busyMs = 60_000;
const pollMs = 500;

/**
 * The FPGAs of AWS F1 and F2 instances (host.md §1.6), known by their mailbox, PF1: the ids of PF0,
 * which is what a tenant gets, change with every image. Nothing is downloaded but the image's id;
 * `fpga-load-local-image` fetches the rest, and clearing wipes the memory without a blank image.
 */
export const awsFpga: CardFamily = {
  name: "aws-fpga",
  formats: ["afi"],
  recognises: ({ known }) => known?.family === "aws-fpga",
  async describe(context, card) {
    const canLoad = await context.tools.has("fpga-load-local-image");
    const interfaceId = canLoad ? shellOf(card.pci.device) : undefined;
    const slot = await slotNow(context, card.pci.address);
    const handles = [await handleOf(context.port, applicationOf(card.pci.address))];
    const deployable = {
      id: deployableId(context.hostId, card.cardId, region),
      region,
      ...(interfaceId !== undefined && { interfaceId }),
      programmable: canLoad,
      sharing: "none" as const,
      ...loadedPart(loadedIn(slot)),
      health: await healthOf(context, card.pci.address, slot),
      ...(await scrubPart(context, { interfaceId, erases: canLoad, handles })),
    };
    return deviceOf(context, card, {
      driver: "aws-fpga",
      layout: "whole",
      deployables: [deployable],
    });
  },
  loaded: async (context, { device }) => loadedIn(await slotNow(context, device.address)),
  health: async (context, { device }) =>
    healthOf(context, device.address, await slotNow(context, device.address)),
  interfaceId: async (_, { device, deployable }) =>
    deployable.programmable ? shellOf(device.pciDevice) : undefined,
  async requireIdle() {
    // What uses PF0 on the host is a driver, and that is taken off before anything is loaded.
  },
  async repair(context, place) {
    const { error, errorName } = await slotAt(context, place);
    const fault = afiError(error, errorName);
    if (isFault(fault, "CARD_DEGRADED")) throw degraded(place, fault.message);
  },
  async send(context, place, { bytes }, progress) {
    const { agfi } = parseAfi(bytes, bytes.length);
    const { slot } = await slotAt(context, place);
    await leaveDriver(context, place);
    const load = () => whenFree(context, () => context.tools.loadAfi(slot, agfi));
    await load().catch(async (error: Error) => {
      await makeReady(context, place, error);
      await load();
    });
    progress(100);
  },
  async erase(context, place) {
    await leaveDriver(context, place);
    await clear(context, place);
  },
  complaint: async () => "",
};

/** The mailbox of F1; all others that are known are F2's (host.md §1.7). */
const f1Mailbox = "1041";

/** The interface id of an instance family's shell, the one that images must name. */
function shellOf(mailboxDevice: string): string {
  return uuidOf("aws-fpga", mailboxDevice === f1Mailbox ? "f1" : "f2");
}

/** PF0, the function beside the mailbox; by its address the tools tell slots. */
function applicationOf(mailbox: string): string {
  return mailbox.replace(/\.[0-7]$/, ".0");
}

async function handleOf(port: SysfsPort, address: string): Promise<InventoryHandle> {
  const handle = { name: "pf", type: "PF", address } as const;
  if (await port.exists(pciPath(address))) return handleAt(port, handle);
  return { ...handle, attachable: false, reason: "PF0 is not on the bus" };
}

/** The card's slot; undefined while a tool works on some slot, none answers or none is installed. */
async function slotNow(context: CardContext, mailbox: string): Promise<AfiSlot | undefined> {
  if (!(await context.tools.has("fpga-describe-local-image"))) return undefined;
  try {
    return await context.tools.describeAfi(applicationOf(mailbox));
  } catch (error) {
    if (isKernelError(error, "EBUSY", "ETIMEDOUT")) return undefined;
    throw error;
  }
}

/** As {@link slotNow}, for who needs its number. Throws CARD_DEGRADED when there is none. */
async function slotAt(context: CardContext, place: Place): Promise<AfiSlot> {
  const address = applicationOf(place.device.address);
  const found = await whenFree(context, () => context.tools.describeAfi(address));
  if (!found) throw degraded(place, "AWS's tools show no slot at the card's address");
  return found;
}

/** Undefined while a load is under way: neither the old image nor the new one is there. */
function loadedIn(slot: AfiSlot | undefined): Loaded | undefined {
  if (slot === undefined || slot.status === status.busy) return undefined;
  const { agfi } = slot;
  if (slot.status !== status.loaded || agfi === undefined) return { functionId: null };
  return { functionId: afiFunctionId(agfi) };
}

async function healthOf(
  { port }: CardContext,
  mailbox: string,
  slot: AfiSlot | undefined,
): Promise<Health> {
  const fault = slot && afiError(slot.error, slot.errorName);
  if (isFault(fault, "CARD_DEGRADED")) return { state: "degraded", reason: fault.message };
  if (slot?.status === status.failed) {
    return { state: "degraded", reason: `the last load failed: ${slot.errorName}` };
  }
  return pcieHealth(port, mailbox);
}

/** Whoever loads an image takes PF0's driver off first: its device is about to vanish. */
async function leaveDriver({ port, writeDeadlineMs }: CardContext, { device }: Place) {
  const address = applicationOf(device.address);
  const driver = await driverOf(port, address);
  if (driver === undefined || driver === passThroughDriver) return;
  await port.write(`/sys/bus/pci/drivers/${driver}/unbind`, address, writeDeadlineMs);
}

/**
 * After a failed load: an empty slot for the one more try (host.md §2.5e). Throws the failure itself
 * where clearing is none of our business, cannot help, or another try would fail in the same way.
 */
async function makeReady(context: CardContext, place: Place, failure: Error): Promise<void> {
  const code = isFault(failure) ? failure.code : undefined;
  if (code === undefined || code === "IN_USE" || code === "CARD_DEGRADED") throw failure;
  await clear(context, place);
  if (code === "IMAGE_INCOMPATIBLE") throw failure;
}

/** Other slots' loads pass, and a call that was refused for one has not begun. */
async function whenFree<T>({ sleep }: CardContext, call: () => Promise<T>): Promise<T> {
  for (let waited = 0; ; waited += pollMs) {
    try {
      return await call();
    } catch (error) {
      if (!isKernelError(error, "EBUSY") || waited >= busyMs) throw error;
    }
    await sleep(pollMs);
  }
}

async function clear(context: CardContext, place: Place): Promise<void> {
  const { slot } = await slotAt(context, place);
  await whenFree(context, () => context.tools.clearAfi(slot));
  for (let waited = 0; waited <= clearedMs; waited += pollMs) {
    if ((await slotAt(context, place)).status === status.cleared) return;
    await context.sleep(pollMs);
  }
  throw new Fault("PROGRAM_TIMEOUT", `Slot ${slot} did not become empty`, { slot });
}
