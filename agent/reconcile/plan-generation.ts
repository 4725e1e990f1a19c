import { heldBy, occupiedHandles } from "./occupied.ts";
import { unplugStep } from "./plan-handles.ts";
import type { Blocked, Memory, Reality, Step, Wish } from "./step.ts";

/** What the newest image generation still needs; undefined = nothing more, for better or worse. */
export function nextForGeneration(
  wish: Wish,
  reality: Reality,
  memory: Memory,
): Step | Blocked | undefined {
  const { work } = memory.marks;
  if (wish.handlesOnly === true || work?.outcome === "failed") return undefined;
  if (needsScrub(wish, reality, memory)) {
    const blocked = emptied(wish, reality, memory);
    return blocked ?? scrubStep(wish);
  }
  if (needsProgram(wish, reality, memory)) return towardsImage(wish, reality, memory);
  if (work?.outcome === "ready") return undefined;
  return { kind: "settle", generation: wish.imageGeneration };
}

function needsScrub(wish: Wish, reality: Reality, { marks }: Memory): boolean {
  const { work } = marks;
  if (wish.scrub === undefined || work?.outcome !== undefined) return false;
  return work?.scrubbed !== reality.bootId;
}

function scrubStep(wish: Wish): Step | undefined {
  return wish.scrub === undefined
    ? undefined
    : { kind: "scrub", method: wish.scrub, generation: wish.imageGeneration };
}

/**
 * A done generation is loaded again only for a claim, when the card says something else than the
 * wish (after a reboot); a free card is left as it is.
 */
function needsProgram(wish: Wish, reality: Reality, { marks }: Memory): boolean {
  if (wish.image === undefined) return false;
  const differs = reality.loaded.functionId !== wish.image.functionId;
  if (marks.work?.outcome !== undefined) return differs && isClaimed(wish);
  return differs || (wish.force === true && marks.work?.programmed === undefined);
}

function isClaimed(wish: Wish): boolean {
  return Object.values(wish.handles).some(({ claim }) => claim !== undefined);
}

/** Everything that can be prepared is, before any guest loses its handle. */
function towardsImage(wish: Wish, reality: Reality, memory: Memory): Step | Blocked | undefined {
  const { image } = wish;
  if (image === undefined) return undefined;
  const on = { image, generation: wish.imageGeneration };
  if (reality.image === "absent") return { kind: "fetch", ...on };
  if (reality.image === "cached") return { kind: "verify", ...on };
  return emptied(wish, reality, memory) ?? { kind: "program", ...on };
}

/** Program and scrub run only while no handle is in a guest (I6); `replug` lets us take ours out. */
function emptied(wish: Wish, reality: Reality, memory: Memory): Step | Blocked | undefined {
  const occupied = occupiedHandles(reality, memory);
  const ours = Object.entries(memory.journal.handles).find(
    ([, { plug, bound }]) => plug !== undefined || bound !== undefined,
  );
  const mayTake = wish.replug === true || occupied.length === 0;
  if (ours !== undefined && mayTake) {
    const [handle, record] = ours;
    if (!memory.resting.has(handle)) return unplugStep(handle, record);
    return { kind: "blocked", code: "UNPLUG_FAILED", message: `${handle} did not leave its guest` };
  }
  if (occupied.length === 0) return undefined;
  return { kind: "blocked", code: "IN_USE", message: heldBy(occupied, reality) };
}

/** True when the wish's image part is met, so that its handles may go to guests. */
export function isImagePartMet(wish: Wish, reality: Reality, { marks }: Memory): boolean {
  if (wish.handlesOnly === true) return true;
  if (marks.work?.generation !== wish.imageGeneration) return false;
  if (marks.work.outcome !== "ready") return false;
  return wish.image === undefined || reality.loaded.functionId === wish.image.functionId;
}
