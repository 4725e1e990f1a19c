import type { Desired } from "#protocol/wire/messages";
import { type DeployableMarks, higherFences } from "../memory/marks.ts";

/** A sentence when the wish is older than what was seen, else undefined. */
export function staleness(
  wish: Desired,
  marks: DeployableMarks,
  newest: Desired | undefined,
): string | undefined {
  const generation = Math.max(marks.imageGeneration, newest?.imageGeneration ?? 0);
  if (wish.imageGeneration < generation) {
    return `image generation ${wish.imageGeneration} is older than ${generation}`;
  }
  const seen = seenFences(marks, newest);
  const raised = Object.entries(wish.handles).some(
    ([handle, { fence }]) => fence > (seen[handle] ?? 0),
  );
  for (const [handle, { fence }] of Object.entries(wish.handles)) {
    const highest = seen[handle] ?? 0;
    if (fence < highest) return `fence ${fence} of ${handle} is older than ${highest}`;
  }
  // Attach and detach raise no counter, so among equal counters the revision tells the order.
  const sameCounters = !raised && wish.imageGeneration === generation;
  if (sameCounters && newest !== undefined && wish.revision < newest.revision) {
    return `revision ${wish.revision} is older than ${newest.revision}`;
  }
  return undefined;
}

/** Highest fences heard of, written or not. */
export function seenFences(
  marks: DeployableMarks,
  newest: Desired | undefined,
): DeployableMarks["fences"] {
  return higherFences(marks.fences, fencesOf(newest));
}

/** The marks once this wish is what the agent works by; written before anything is done for it. */
export function absorbed(marks: DeployableMarks, wish: Desired): DeployableMarks {
  const { work: known, ...others } = marks;
  const work =
    known?.generation === wish.imageGeneration
      ? known
      : { generation: wish.imageGeneration, tries: 0 };
  return {
    ...others,
    work,
    imageGeneration: Math.max(marks.imageGeneration, wish.imageGeneration),
    fences: higherFences(marks.fences, fencesOf(wish)),
  };
}

function fencesOf(wish: Desired | undefined): DeployableMarks["fences"] {
  return Object.fromEntries(
    Object.entries(wish?.handles ?? {}).map(([name, { fence }]) => [name, fence]),
  );
}
