import type { DesiredHandle } from "#protocol/wire/messages";
import type { PlugTarget } from "#protocol/wire/shapes";
import type { HandleRecord } from "../memory/journal.ts";
import { heldBy, isOccupied } from "./occupied.ts";
import {
  type Blocked,
  type Memory,
  type Reality,
  type Step,
  type StepOf,
  type Wish,
} from "./step.ts";

/** The first handle that must leave its guest, whatever becomes of the image. */
export function nextUnplug(wish: Wish, memory: Memory): StepOf<"unplug"> | undefined {
  for (const [handle, wished] of inOrder(wish, memory)) {
    const record = memory.journal.handles[handle];
    if (record !== undefined && mustLeave(wished, record)) return unplugStep(handle, record);
  }
  return undefined;
}

/** What undoes everything this agent did to a handle. */
export function unplugStep(handle: string, record: HandleRecord): StepOf<"unplug"> {
  const target = record.plug?.target;
  return { kind: "unplug", handle, ...(target === undefined ? {} : { target }) };
}

function mustLeave(wished: DesiredHandle, { plug, bound }: HandleRecord): boolean {
  if (plug === undefined && bound === undefined) return false;
  if (!wished.plugged || wished.claim === undefined) return true;
  return plug !== undefined && !isSamePlug(plug, wished);
}

function isSamePlug(plug: NonNullable<HandleRecord["plug"]>, wished: DesiredHandle): boolean {
  return plug.claim === wished.claim?.id && isSameTarget(plug.target, wished.target);
}

function isSameTarget(one: PlugTarget, other: PlugTarget | undefined): boolean {
  if (other === undefined) return false;
  const { hypervisor, domain, bus } = other;
  return one.hypervisor === hypervisor && one.domain === domain && one.bus === bus;
}

/** The first handle that must be bound or plugged; asked only when the image part is met. */
export function nextPlug(wish: Wish, reality: Reality, memory: Memory): Step | undefined {
  for (const [handle, wished] of inOrder(wish, memory)) {
    const { claim, target, fence } = wished;
    if (!wished.plugged || claim === undefined || target === undefined) continue;
    const now = reality.handles[handle];
    if (now === undefined) continue;
    if (!now.onVfio) return { kind: "bind", handle, fence };
    const plug = memory.journal.handles[handle]?.plug;
    if (plug?.attachment !== undefined && plug.bootId === reality.bootId) continue;
    return { kind: "plug", handle, fence, claim, target };
  }
  return undefined;
}

/**
 * The first unclaimed handle that is wished clean and has no proof at its fence and boot; when all
 * that is left is held by somebody, that is said, so that it is looked at again.
 */
export function nextClean(
  wish: Wish,
  reality: Reality,
  memory: Memory,
): Step | Blocked | undefined {
  const unclaimed = inOrder(wish, memory).filter(
    ([handle, { claim }]) => claim === undefined && reality.handles[handle] !== undefined,
  );
  const held = unclaimed.map(([name]) => name).filter((name) => isOccupied(name, reality, memory));
  for (const [handle, { clean, fence }] of unclaimed) {
    if (clean !== true || held.includes(handle)) continue;
    if (!isHandleClean(handle, fence, reality.bootId, memory)) {
      return { kind: "clean-handle", handle, fence };
    }
  }
  if (held.length === 0) return undefined;
  return { kind: "blocked", code: "IN_USE", message: heldBy(held, reality) };
}

/** True when the handle was cleaned under this boot at this fence or a later one. */
export function isHandleClean(
  handle: string,
  fence: number,
  bootId: string,
  { marks }: Pick<Memory, "marks">,
): boolean {
  const proof = marks.handleClean[handle];
  return proof !== undefined && proof.bootId === bootId && proof.fence >= fence;
}

/** By name, so that a restart chooses the same handle first; resting handles do not hold up others. */
function inOrder(wish: Wish, { resting }: Memory): readonly (readonly [string, DesiredHandle])[] {
  return Object.entries(wish.handles)
    .filter(([handle]) => !resting.has(handle))
    .sort(([one], [other]) => (one < other ? -1 : 1));
}
