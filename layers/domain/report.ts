import {
  type Deployable,
  type Handle,
  type Health,
  heldHandles,
  isPending,
  isWorking,
  type Loaded,
  type Trouble,
} from "./deployable.ts";
import { sameContent } from "./same.ts";
import { abandon, lift, scrubIfUnproven, startOver, withoutProofs } from "./transitions.ts";

/** A report as the domain sees it (wire/messages.ts has the schema). */
export interface Report {
  readonly epoch: number;
  readonly seq: number;
  readonly bootId: string;
  readonly imageGeneration: number;
  /** The revision of the wish it answers. */
  readonly revision?: number | undefined;
  readonly phase: string;
  readonly loaded: Loaded;
  readonly health: Health;
  readonly clean: boolean;
  readonly handles: {
    readonly [name: string]: {
      readonly fence: number;
      readonly state: "unplugged" | "plugged";
      readonly clean: boolean;
      readonly attachment?: Handle["attachment"];
      readonly error?: Trouble | undefined;
    };
  };
  readonly error?: Trouble | undefined;
}

/** A claim whose bind is decided by a report, with the fence it was decided under. */
export interface Decision {
  readonly claim: string;
  readonly handle: string;
  readonly fence: number;
  readonly error?: Trouble;
}

export interface Applied {
  /** The same object when the report is old news; the same revision when it changes no fact. */
  readonly deployable: Deployable;
  readonly bound: readonly Decision[];
  readonly failed: readonly Decision[];
}

/**
 * What a report makes of a deployable. A report that is not newer than the stored one changes
 * nothing; one of another image generation may tell what is loaded and how the card feels, and void
 * proofs, but never move lifecycle or claims nor prove anything (design §6). Counters are lifted
 * above the agent's first: they never fall, also when this row is an older copy (I2).
 */
export function applyReport(known: Deployable, report: Report, now: number): Applied {
  if (!isNewer(report, known.reported)) return { deployable: known, bound: [], failed: [] };
  const before = lift(known, marksOf(report), now);
  const seen: Deployable = {
    ...before,
    loaded: merged(before, report),
    loadedType: loadedType(before, report),
    health: report.health,
    present: report.health.state !== "gone",
    reported: { epoch: report.epoch, seq: report.seq },
  };
  if (report.imageGeneration !== before.imageGeneration) {
    return undecided(known, changedBehindUs(before, seen, report), now);
  }
  const told = { ...seen, ...progress(before, report), bootId: report.bootId };
  const owned = { ...told, clean: isProvenClean(before, seen, report) };
  const handled = { ...owned, handles: handlesAfter(owned, report) };
  return isCutOff(before, handled, report)
    ? undecided(known, startOver(handled, now), now)
    : decided(known, handled.present ? handled : withoutProofs(before, handled), report, now);
}

/**
 * An agent that rests while a generation is owed has done it and found the card changed since, before
 * it could tell: so it is when it knows this very wish, or has rebooted since the last report.
 */
function isCutOff(before: Deployable, after: Deployable, report: Report): boolean {
  const isRebooted = before.bootId !== undefined && before.bootId !== report.bootId;
  const isResting = report.phase === "idle" && isPending(after);
  return isResting && (isRebooted || report.revision === before.revision);
}

function marksOf(report: Report): Parameters<typeof lift>[1] {
  const fences = Object.entries(report.handles).map(([name, { fence }]) => [name, fence] as const);
  return { imageGeneration: report.imageGeneration, fences: Object.fromEntries(fences) };
}

/** A card that was away proves itself again, whatever its agent remembers of it. */
function isProvenClean(before: Deployable, seen: Deployable, report: Report): boolean {
  return report.clean && before.present && seen.present && heldHandles(before).length === 0;
}

/** An agent that works by another generation proves nothing, but it can tell that a proof ended. */
function changedBehindUs(before: Deployable, seen: Deployable, report: Report): Deployable {
  const isSame = seen.loaded.functionId === before.loaded.functionId;
  const facts = { ...seen, clean: seen.clean && isSame };
  return isPending(before) ? facts : withoutProofs(before, { ...facts, bootId: report.bootId });
}

function undecided(known: Deployable, after: Deployable, now: number): Applied {
  return { deployable: settle(known, after, now), bound: [], failed: [] };
}

function isNewer(
  report: { readonly epoch: number; readonly seq: number },
  stored: { readonly epoch: number; readonly seq: number },
): boolean {
  return report.epoch > stored.epoch || (report.epoch === stored.epoch && report.seq > stored.seq);
}

/** Image facts are kept only under their boot and while the card says the function they belong to. */
function merged(before: Deployable, report: Report): Loaded {
  const { functionId, imageId, sha256 } = report.loaded;
  if (functionId === null) return { functionId };
  if (sha256 !== undefined) return { functionId, imageId, sha256 };
  const isKept = before.bootId === report.bootId && before.loaded.functionId === functionId;
  return isKept ? before.loaded : { functionId };
}

function loadedType(before: Deployable, report: Report): string | undefined {
  const { functionId, sha256 } = merged(before, report);
  if (functionId === null || sha256 === undefined) return undefined;
  if (before.wish.image?.sha256 === sha256) return before.wish.image.type;
  return before.loaded.sha256 === sha256 ? before.loadedType : undefined;
}

function progress(before: Deployable, report: Report): Pick<Deployable, "phase" | "outcome"> {
  const generation = report.imageGeneration;
  if (report.phase === "failed") {
    return {
      phase: report.phase,
      outcome: { generation, result: "failed", error: report.error && troubleOf(report.error) },
    };
  }
  const ended = report.phase === "ready" || (report.phase === "idle" && !isPending(before));
  return {
    phase: report.phase,
    outcome: ended ? { generation, result: "ready" } : before.outcome,
  };
}

function handlesAfter(deployable: Deployable, report: Report): Deployable["handles"] {
  return Object.fromEntries(
    Object.entries(deployable.handles).map(([name, handle]) => {
      const told = report.handles[name];
      if (told === undefined || told.fence !== handle.fence) return [name, handle];
      return [name, handleAfter(deployable, handle, told)];
    }),
  );
}

function handleAfter(
  deployable: Deployable,
  handle: Handle,
  told: Report["handles"][string],
): Handle {
  const error = told.error === undefined ? undefined : troubleOf(told.error);
  if (handle.state === "releasing") {
    const proven =
      told.state === "unplugged" &&
      told.clean &&
      !isPending(deployable) &&
      isWholeClean(deployable);
    return proven
      ? { ...handle, state: "free", attachment: undefined, error: undefined }
      : { ...handle, error };
  }
  if (handle.state === "free") {
    const isProven = told.state === "unplugged" && told.clean;
    return isProven ? handle : { ...handle, state: "releasing" };
  }
  return told.state === "plugged"
    ? { ...handle, state: "plugged", attachment: told.attachment, error }
    : { ...handle, state: "claimed", attachment: undefined, error };
}

/** A card that is erased as a whole frees its handles only when the erase is proven. */
function isWholeClean(deployable: Deployable): boolean {
  return (
    deployable.scrubMethod !== "erase" ||
    heldHandles(deployable).length > 0 ||
    (deployable.clean && deployable.outcome.result === "ready")
  );
}

function troubleOf(error: Trouble): Trouble {
  return { code: error.code, message: error.message };
}

function decided(before: Deployable, after: Deployable, report: Report, now: number): Applied {
  const binding = heldHandles(after).flatMap(([handle, { holder, fence }]) =>
    holder?.binding === true ? [{ claim: holder.claim, handle, fence }] : [],
  );
  const error = whyNotBound(after);
  if (error !== undefined && binding.length > 0) {
    return failing(before, after, { decisions: binding, error }, now);
  }
  const proven = binding.filter(({ handle, fence }) => report.handles[handle]?.fence === fence);
  if (isPending(after) || !holdsWish(after) || !isWorking(after)) {
    return undecided(before, after, now);
  }
  const handles = Object.fromEntries(
    Object.entries(after.handles).map(([name, handle]) => [
      name,
      proven.some((one) => one.handle === name) ? bound(handle) : handle,
    ]),
  );
  return { deployable: settle(before, { ...after, handles }, now), bound: proven, failed: [] };
}

/**
 * Why nothing can be bound: the generation ended badly. A card that is gone is no reason yet: a rebind
 * takes it away for a moment, and one that stays away lets the bind miss its deadline.
 */
function whyNotBound(deployable: Deployable): Trouble | undefined {
  const { outcome } = deployable;
  if (isPending(deployable) || outcome.result !== "failed") return undefined;
  return outcome.error ?? { code: "PROGRAM_FAILED", message: "programming failed" };
}

/** Programmed means the card says so (design §1.6). */
function holdsWish({ wish, loaded }: Deployable): boolean {
  return wish.image === undefined || loaded.functionId === wish.image.functionId;
}

function bound(handle: Handle): Handle {
  return handle.holder === undefined
    ? handle
    : { ...handle, holder: { ...handle.holder, binding: false } };
}

function failing(
  before: Deployable,
  after: Deployable,
  { decisions, error }: { readonly decisions: readonly Decision[]; readonly error: Trouble },
  now: number,
): Applied {
  const abandoned = decisions.reduce(
    (deployable, { handle }) => abandon(deployable, handle, now),
    after,
  );
  return {
    deployable: settle(before, abandoned, now),
    bound: [],
    failed: decisions.map((decision) => ({ ...decision, error })),
  };
}

/**
 * One revision for all that the report changed; the scrub that follows from it is wished at once.
 * A report that changes no fact raises no revision, yet it is remembered as heard: an older one that
 * arrives after it must not be believed.
 */
function settle(before: Deployable, after: Deployable, now: number): Deployable {
  const scrubbed = scrubIfUnproven(after, now);
  if (sameFacts(before, scrubbed)) return { ...before, reported: after.reported };
  return { ...scrubbed, revision: before.revision + 1, updatedAt: now };
}

function sameFacts(one: Deployable, other: Deployable): boolean {
  return sameContent({ ...one, ...unimportant }, { ...other, ...unimportant });
}

/** What changes with every report and means nothing by itself. */
const unimportant = { reported: undefined, revision: undefined, updatedAt: undefined };
