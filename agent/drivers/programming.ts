import { Fault, isFault } from "#domain/faults";
import { cardIdentity, pciDevices } from "../host/pci.ts";
import type { Bitstream } from "../host/pr-port.ts";
import { isKernelError, named } from "../host/sysfs-port.ts";
import { isOnVfio, vfioHolders } from "../host/vfio-groups.ts";
import type { CardContext, CardFamily } from "./card-family.ts";
import type { Place, VerifiedImage, Work } from "./driver.ts";

/** A place and how its family is handled. */
export interface Target {
  readonly context: CardContext;
  readonly family: CardFamily;
  readonly place: Place;
}

/**
 * Another card may have the address by now: addresses renumber, slots do not (design §2).
 * Throws CARD_GONE.
 */
export async function requireSameCard({ context, place }: Target): Promise<void> {
  const { address, cardId } = place.device;
  const target = await context.port.readlink(`${pciDevices}/${address}`).catch(() => "");
  if (cardIdentity(target) === cardId) return;
  throw new Fault("CARD_GONE", `${cardId} is not at ${address}`, { card: cardId, address });
}

/**
 * Nobody may have what is going to change (host.md §2.2): no guest holds a handle, no process the
 * port, and a handle on a pass-through driver only where the card can be read back all the same.
 * Throws IN_USE.
 */
export async function requireUnused({ context, family, place }: Target): Promise<void> {
  for (const { name, address } of place.deployable.handles) {
    const [holder] = await vfioHolders(context.port, address);
    if (holder)
      throw new Fault("IN_USE", `${name} is held by ${named(holder)}`, { handle: name, holder });
    if (!context.pr.identify && (await isOnVfio(context.port, address))) {
      throw new Fault("IN_USE", `${name} is on vfio-pci, where it cannot be read back`, {
        handle: name,
      });
    }
  }
  await family.requireIdle(context, place);
}

/** The algorithm of host.md §2.2 up to the read back, which is the caller's. */
export async function program(target: Target, image: VerifiedImage, work: Work): Promise<void> {
  const { context, family, place } = target;
  await requireSameCard(target);
  requireFormat(family, image);
  const wanted = await family.interfaceId(context, place);
  // The kernel does not look: a wrong image can take the whole host down (host.md §2.1).
  if (wanted === undefined || image.interfaceId !== wanted) {
    throw new Fault("IMAGE_INCOMPATIBLE", undefined, {
      field: "interfaceId",
      expected: wanted ?? "a region that can be programmed",
    });
  }
  const { bytes: file, payloadOffset, functionId } = image;
  const bytes = file.subarray(payloadOffset);
  await send(target, { bytes, file, functionId, interfaceId: wanted }, work);
}

function requireFormat({ formats }: CardFamily, { format }: VerifiedImage): void {
  if (formats === undefined || formats.includes(format)) return;
  throw new Fault("IMAGE_INCOMPATIBLE", `This card takes no ${format}`, {
    field: "format",
    expected: formats.join(" or "),
  });
}

/** What {@link send} does first, by itself. Throws IN_USE, CARD_GONE, CARD_DEGRADED, CARD_STUCK. */
export async function repair(target: Target): Promise<void> {
  await requireSameCard(target);
  await requireUnused(target);
  await target.family.repair(target.context, target.place);
}

/** Sends a bitstream to a region that is proven unused. Throws every code of {@link sendFault}. */
export async function send(target: Target, image: Bitstream, work: Work): Promise<void> {
  const { context, family, place } = target;
  await change(target, work, () => family.send(context, place, image, work.progress));
}

/** Something irreversible to a region that is proven unused. Throws as {@link send}. */
export async function change(target: Target, work: Work, act: () => Promise<void>): Promise<void> {
  const { context, family, place } = target;
  await requireUnused(target);
  work.signal.throwIfAborted();
  await family.repair(context, place);
  work.signal.throwIfAborted();
  work.progress(0);
  try {
    await act();
  } catch (error) {
    throw await sendFault(target, error);
  }
}

/** Result codes of host.md §2.1 in our words. */
async function sendFault(target: Target, error: unknown): Promise<unknown> {
  if (!isKernelError(error)) return error;
  const { context, family, place } = target;
  const detail = { card: place.device.cardId, region: place.deployable.region, errno: error.code };
  switch (error.code) {
    case "EBUSY":
      return new Fault("IN_USE", "Another program has the card", detail);
    case "ETIMEDOUT":
      return new Fault("PROGRAM_TIMEOUT", undefined, detail);
    case "ENODEV":
    case "ENOENT":
      return new Fault("CARD_GONE", "The card vanished while it was programmed", detail);
    case "EIO": {
      const status = await family.complaint(context, place).catch(() => "");
      const code = /incompatible/.test(status) ? "IMAGE_INCOMPATIBLE" : "PROGRAM_FAILED";
      return new Fault(code, status === "" ? undefined : `The card says: ${status}`, {
        ...detail,
        status,
      });
    }
    default:
      return new Fault("PROGRAM_FAILED", `The kernel answered ${error.code}`, detail);
  }
}

/** The hardware's own words where it failed; SCRUB_FAILED for what a scrub's caller cannot tell apart. */
export function scrubFault(error: unknown): unknown {
  const blurred = [
    "PROGRAM_FAILED",
    "PROGRAM_TIMEOUT",
    "IMAGE_INCOMPATIBLE",
    "IMAGE_HEADER_INVALID",
    "READ_BACK_MISMATCH",
  ] as const;
  if (!blurred.some((code) => isFault(error, code)) || !isFault(error)) return error;
  return new Fault("SCRUB_FAILED", error.message, error.detail, { cause: error });
}
