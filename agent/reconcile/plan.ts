import { occupiedHandles } from "./occupied.ts";
import { isImagePartMet, nextForGeneration } from "./plan-generation.ts";
import { nextClean, nextPlug, nextUnplug } from "./plan-handles.ts";
import type { Blocked, Memory, Plan, Reality, Step, Wish } from "./step.ts";

/**
 * The next step towards the wish, from what is and what is remembered. Pure and total: the same
 * three always give the same answer, so that after a crash between any two steps the work goes on.
 * The marks must have absorbed the wish (intake.ts) before it is asked.
 */
export function plan(wish: Wish | undefined, reality: Reality, memory: Memory): Plan {
  const { stuck } = memory.journal;
  if (stuck !== undefined) return { kind: "blocked", code: "CARD_STUCK", message: stuck.reason };
  if (reality.health.state === "gone") {
    return { kind: "blocked", code: "CARD_GONE", message: reality.health.reason ?? "not found" };
  }
  const unfinished = unfinishedOperation(reality, memory);
  if (unfinished !== undefined) return unfinished;
  const towards = wish === undefined ? undefined : nextForWish(wish, reality, memory);
  return towards ?? nextRepair(wish, reality, memory) ?? { kind: "done" };
}

function nextForWish(wish: Wish, reality: Reality, memory: Memory): Step | Blocked | undefined {
  return (
    nextUnplug(wish, memory) ??
    nextForGeneration(wish, reality, memory) ??
    (isImagePartMet(wish, reality, memory) ? nextPlug(wish, reality, memory) : undefined) ??
    (isSettled(wish, memory) ? nextClean(wish, reality, memory) : undefined)
  );
}

/**
 * An act that returned is read back. One that was cut off counts as done only when the card now says
 * the target and said something else before; otherwise it is simply done again.
 */
function unfinishedOperation(reality: Reality, { marks, journal }: Memory): Step | undefined {
  const { operation } = journal;
  if (operation === undefined || operation.id === marks.lastOperation) return undefined;
  const target = operation.image?.functionId;
  const happened =
    operation.stage === "acted" ||
    (target !== undefined && operation.before !== target && reality.loaded.functionId === target);
  return happened ? { kind: "read-back", operation } : undefined;
}

/** Once, and only for a card that nobody has or is promised. */
function nextRepair(wish: Wish | undefined, reality: Reality, memory: Memory): Step | undefined {
  if (reality.health.state !== "degraded" || memory.repaired === true) return undefined;
  const claimed = Object.values(wish?.handles ?? {}).some(({ claim }) => claim !== undefined);
  if (claimed || occupiedHandles(reality, memory).length > 0) return undefined;
  return { kind: "repair" };
}

/** A generation with a scrub covers its handles; one that failed leaves them as they are. */
function isSettled(wish: Wish, { marks }: Memory): boolean {
  return wish.handlesOnly === true || marks.work?.outcome === "ready" || wish.scrub === undefined;
}
