import type { Desired, DesiredHandle } from "#protocol/wire/messages";
import { type HandleRecord, type Journal, withHandle } from "../memory/journal.ts";
import type { DeployableMarks } from "../memory/marks.ts";
import { without } from "../memory/without.ts";
import type { Memory, Wish } from "./step.ts";

type Local = NonNullable<HandleRecord["local"]>;

/**
 * The cloud's wish with the plugs and unplugs done by permit laid over it. A local one holds while
 * claim and fence stay the same and the cloud does not change its own mind about that handle.
 * A wish that is known to be past, because a welcome told of later counters, asks for nothing: its
 * acts would be superseded before their touch, again and again, until the newer one is heard.
 */
export function effectiveWish(
  heard: Desired | undefined,
  { marks, journal }: Pick<Memory, "marks" | "journal">,
): Wish | undefined {
  const cloud = heard === undefined || isPast(heard, marks) ? undefined : heard;
  const laid = Object.entries(journal.handles).flatMap(([name, { local }]) =>
    local !== undefined && isInForce(local, marks.fences[name] ?? 0, cloud?.handles[name])
      ? [[name, handleWish(local)] as const]
      : [],
  );
  if (laid.length === 0) return cloud;
  const handles = Object.fromEntries(laid);
  if (cloud !== undefined) return { ...cloud, handles: { ...cloud.handles, ...handles } };
  return {
    revision: 0,
    imageGeneration: marks.imageGeneration,
    handles,
    handlesOnly: true,
  };
}

/** The journal without permits that a newer wish overrides: they must not come back with a later one. */
export function withoutOverridden(
  journal: Journal,
  marks: DeployableMarks,
  cloud: Desired,
): Journal {
  let left = journal;
  for (const [name, record] of Object.entries(journal.handles)) {
    const { local } = record;
    if (local === undefined) continue;
    if (isInForce(local, marks.fences[name] ?? 0, cloud.handles[name])) continue;
    left = withHandle(left, name, without(record, "local"));
  }
  return left;
}

function isPast({ imageGeneration, handles }: Desired, marks: DeployableMarks): boolean {
  if (imageGeneration < marks.imageGeneration) return true;
  return Object.entries(handles).some(([name, { fence }]) => fence < (marks.fences[name] ?? 0));
}

function isInForce(local: Local, fence: number, wished: DesiredHandle | undefined): boolean {
  if (local.fence < fence) return false;
  if (wished === undefined) return true;
  return wished.claim?.id === local.claim && wished.plugged === local.over;
}

function handleWish(local: Local): DesiredHandle {
  return {
    fence: local.fence,
    claim: { id: local.claim, project: local.project },
    plugged: local.plugged,
    ...(local.target === undefined ? {} : { target: local.target }),
  };
}
