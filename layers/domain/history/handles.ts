import type { HandleState } from "../lifecycle.ts";
import type { DeployableFacts, HandleFacts } from "./facts.ts";
import type { Finding, HistoryEvent, Invariant, Told, Violation } from "./verdict.ts";

/** One change of one handle, as its deployable's row told it. */
export interface HandleChange {
  readonly event: Told<DeployableFacts>;
  readonly was: HandleFacts | undefined;
  readonly is: HandleFacts;
}

/** Moves that one write may make. A free handle that loses its proof is dirty again. */
const moves: { readonly [From in HandleState]: readonly HandleState[] } = {
  free: ["claimed", "releasing"],
  claimed: ["plugged", "releasing"],
  plugged: ["claimed", "releasing"],
  releasing: ["free"],
};

/** Judges the changes of one handle, in the order of its row. `object` names it. */
export function checkHandle(object: string, changes: readonly HandleChange[]): Finding {
  const violations: Violation[] = [];
  let gaps = 0;
  let last: HandleChange | undefined;
  for (const change of changes) {
    const say = (invariant: Invariant, text: string, before?: HistoryEvent) =>
      violations.push({ invariant, object, text, events: pair(before, change.event) });
    for (const [invariant, text] of [...wrongMove(change), ...unproven(change)]) {
      say(invariant, text);
    }
    for (const [invariant, text] of wrongSequence(last, change)) {
      say(invariant, text, last?.event);
    }
    if (last !== undefined && change.was !== undefined && !isSame(last.is, change.was)) gaps += 1;
    last = change;
  }
  const open =
    last?.is.state === "releasing"
      ? [{ object, text: "released and not proven clean yet", since: last.event }]
      : [];
  return { violations, open, gaps };
}

type Wrong = readonly (readonly [Invariant, string])[];

function pair(before: HistoryEvent | undefined, after: HistoryEvent): readonly HistoryEvent[] {
  return before === undefined ? [after] : [before, after];
}

function isSame(one: HandleFacts, other: HandleFacts): boolean {
  return one.state === other.state && one.claim === other.claim;
}

/** What one change alone shows. */
function wrongMove({ was, is }: HandleChange): Wrong {
  const wrong: [Invariant, string][] = [];
  const isHeld = is.state === "claimed" || is.state === "plugged";
  if (isHeld !== (is.claim !== undefined)) {
    wrong.push(["I1", `it is ${is.state} and held by ${is.claim ?? "no claim"}`]);
  }
  if (was === undefined) return wrong;
  if (is.fence < was.fence) wrong.push(["I2", `its fence fell from ${was.fence} to ${is.fence}`]);
  if (is.claim === was.claim) return [...wrong, ...wrongState(was, is)];
  if (is.fence === was.fence) {
    wrong.push(["I2", `it changed its holder under the same fence ${is.fence}`]);
  }
  if (is.claim !== undefined && was.claim !== undefined) {
    return [...wrong, ["I1", `claim ${is.claim} took it from claim ${was.claim}`]];
  }
  return [...wrong, ...wrongState(was, is)];
}

function wrongState(was: HandleFacts, is: HandleFacts): Wrong {
  if (was.state === is.state || moves[was.state].includes(is.state)) return [];
  const isDirty = was.state === "releasing" || is.state === "free";
  return [[isDirty ? "scrub" : "lifecycle", `it went from ${was.state} to ${is.state}`]];
}

/** A handle is freed by its agent's proof, and granted only from a card that was on offer. */
function unproven({ was, is, event: { facts } }: HandleChange): Wrong {
  if (was === undefined || was.state === is.state) return [];
  if (was.state === "releasing" && is.state === "free") return unprovenFree(facts);
  return was.state === "free" && is.state === "claimed" ? unprovenGrant(facts) : [];
}

const offering: ReadonlySet<string> = new Set(["idle", "ready"]);

function unprovenGrant({ wasState, wasClean, wasHeld, scrubMethod }: DeployableFacts): Wrong {
  const wrong: [Invariant, string][] = [];
  if (wasState !== undefined && !offering.has(wasState)) {
    wrong.push(["I4", `it was granted while its deployable was ${wasState}`]);
  }
  if (wasClean === false && wasHeld === 0 && scrubMethod !== "reset") {
    wrong.push(["scrub", "it was granted while its deployable was not proven clean"]);
  }
  return wrong;
}

function unprovenFree({ reported, scrubMethod, held, clean, settled }: DeployableFacts): Wrong {
  if (!reported) return [["scrub", "it was freed without a report of its agent"]];
  const isWhole = scrubMethod === "erase" && held === 0;
  return isWhole && !(clean && settled)
    ? [["scrub", "it was freed while its deployable was not proven clean"]]
    : [];
}

/** What two changes of one row show together. */
function wrongSequence(last: HandleChange | undefined, { was, is }: HandleChange): Wrong {
  if (last === undefined) return [];
  const wrong: [Invariant, string][] = [];
  const fence = was?.fence ?? is.fence;
  if (fence < last.is.fence) {
    wrong.push(["I2", `its fence fell from ${last.is.fence} to ${fence}`]);
  }
  const isGrant = is.claim !== undefined && is.claim !== was?.claim;
  if (isGrant && last.is.state === "releasing" && was?.state === "free") {
    wrong.push(["scrub", "it was granted, and no proof that it is clean was told before"]);
  }
  return wrong;
}
