import { Fault } from "#domain/faults";
import type { ScrubMethod } from "#protocol/wire/shapes";
import { hostUse } from "../host/host-use.ts";
import { pciPath } from "../host/pci.ts";
import { isKernelError, named } from "../host/sysfs-port.ts";
import { vfioHolders } from "../host/vfio-groups.ts";
import type { Work } from "./driver.ts";
import {
  change,
  requireSameCard,
  requireUnused,
  scrubFault,
  send,
  type Target,
} from "./programming.ts";

/**
 * Erase loads the blank image, which clears the card's memory too, then resets every handle that can
 * be reset; reset does only the latter, and leaves memory to the same project's next tenant (design §4).
 * Throws SCRUB_FAILED, IN_USE, CARD_GONE, CARD_DEGRADED, CARD_STUCK.
 */
export async function scrub(target: Target, method: ScrubMethod, work: Work): Promise<void> {
  await requireSameCard(target);
  await requireUnused(target);
  if (method === "erase") await erase(target, work);
  work.signal.throwIfAborted();
  const handles = await presentHandles(target);
  if (method === "reset" && handles.length === 0) {
    throw new Fault("SCRUB_FAILED", "There is no handle that could be reset");
  }
  for (const address of handles) {
    // What an erase has replaced as a whole need not be reset where it cannot be.
    if (method === "erase" && !(await canReset(target, address))) continue;
    await resetFunction(target, address);
  }
  work.progress(100);
}

async function erase(target: Target, work: Work): Promise<void> {
  const { context, family, place } = target;
  if (!place.deployable.programmable) {
    throw new Fault("SCRUB_FAILED", "A card with a fixed function cannot be erased");
  }
  try {
    if (family.erase) await change(target, work, async () => family.erase?.(context, place));
    else await loadBlank(target, work);
  } catch (error) {
    throw scrubFault(error);
  }
}

async function loadBlank(target: Target, work: Work): Promise<void> {
  const { context, place } = target;
  const shell = await target.family.interfaceId(context, place);
  const blank = shell === undefined ? undefined : context.blanks.for(shell);
  if (!blank) {
    throw new Fault("SCRUB_FAILED", "This host has no blank image for the card", {
      interfaceId: shell,
    });
  }
  const { bytes: file, payloadOffset, functionId } = blank;
  const bytes = file.subarray(payloadOffset);
  await send(target, { bytes, file, functionId }, work);
}

/** Handles that are on the bus; a port whose VF does not exist has nothing that could be reset. */
async function presentHandles({ context, place }: Target): Promise<readonly string[]> {
  const present: string[] = [];
  for (const { address } of place.deployable.handles) {
    if (await context.port.exists(pciPath(address))) present.push(address);
  }
  return present;
}

/** FLR of one handle while its neighbours run. Throws INVALID_REQUEST, IN_USE and as {@link scrub}. */
export async function cleanHandle(target: Target, name: string): Promise<void> {
  const { context, place } = target;
  await requireSameCard(target);
  const handle = place.deployable.handles.find((one) => one.name === name);
  if (!handle) throw new Fault("INVALID_REQUEST", `There is no handle ${name}`, { handle: name });
  const [holder] = await vfioHolders(context.port, handle.address);
  if (holder)
    throw new Fault("IN_USE", `${name} is held by ${named(holder)}`, { handle: name, holder });
  const use = await hostUse(context.port, handle.address);
  if (use !== undefined) throw new Fault("IN_USE", `The host uses ${name}: ${use}`);
  await resetFunction(target, handle.address);
}

function canReset({ context }: Target, address: string): Promise<boolean> {
  return context.port.exists(`${pciPath(address)}/reset`);
}

async function resetFunction({ context }: Target, address: string): Promise<void> {
  try {
    await context.port.write(`${pciPath(address)}/reset`, "1", context.writeDeadlineMs);
  } catch (error) {
    throw resetFault(error, address);
  }
}

function resetFault(error: unknown, address: string): unknown {
  if (!isKernelError(error)) return error;
  const detail = { address, errno: error.code };
  if (error.code === "ETIMEDOUT") return new Fault("CARD_STUCK", "A reset did not end", detail);
  if (error.code === "ENODEV") return new Fault("CARD_GONE", `${address} vanished`, detail);
  return new Fault("SCRUB_FAILED", `${address} cannot be reset alone: ${error.code}`, detail);
}
