import { type ClaimEvent, type ClaimState, claimLifecycle, next } from "../lifecycle.ts";
import type { ClaimFacts } from "./facts.ts";
import { type Finding, grouped, type Invariant, type Told, type Violation } from "./verdict.ts";

type ClaimTold = Told<ClaimFacts>;

const claimEvents: readonly ClaimEvent[] = ["bind", "bound", "bindFailed", "unbind", "delete"];
/** States in which a claim may come to be. */
const first: ReadonlySet<ClaimState> = new Set(["Initial", "BindStarted"]);

/** Judges the life of every claim by what its own row told. */
export function checkClaims(events: readonly ClaimTold[]): Finding {
  const findings = [...livesOf(events)].map(([id, life]) => checkLife(id, life));
  return {
    violations: findings.flatMap(({ violations }) => violations),
    open: findings.flatMap(({ open }) => open),
    gaps: findings.reduce((sum, { gaps }) => sum + gaps, 0),
  };
}

/** Events by claim, each life in its order. */
export function livesOf(events: readonly ClaimTold[]): ReadonlyMap<string, readonly ClaimTold[]> {
  const lives = grouped(events, ({ claim }) => claim);
  return new Map([...lives].map(([id, life]) => [id, inOrder(life)]));
}

const changed = ({ facts }: ClaimTold) => facts.changedAt ?? Number.POSITIVE_INFINITY;

/**
 * A stream's time may be as coarse as a second, and writers' clocks differ: among the events of one
 * moment the one comes first that begins where the life stands.
 */
function inOrder(life: readonly ClaimTold[]): readonly ClaimTold[] {
  const waiting = life.toSorted(
    (one, other) => one.at - other.at || Math.sign(changed(one) - changed(other)) || 0,
  );
  const ordered: ClaimTold[] = [];
  while (waiting.length > 0) {
    const last = ordered.at(-1);
    const moment = waiting.filter(({ at }) => at === waiting[0]?.at);
    const fitting = moment.findIndex(({ facts }) => facts.was === last?.facts.is);
    ordered.push(...waiting.splice(Math.max(fitting, 0), 1));
  }
  return ordered;
}

function checkLife(object: string, life: readonly ClaimTold[]): Finding {
  const violations: Violation[] = [];
  let gaps = 0;
  let last: ClaimTold | undefined;
  for (const event of life) {
    for (const [invariant, text] of [...wrongMove(event.facts), ...wrongBind(event.facts)]) {
      violations.push({ invariant, object, text, events: last ? [last, event] : [event] });
    }
    if (last !== undefined && last.facts.is !== event.facts.was) gaps += 1;
    last = event;
  }
  const isWaiting = last?.facts.is === "BindStarted";
  const open =
    last !== undefined && isWaiting
      ? [{ object, text: "its bind has begun and not ended", since: last }]
      : [];
  return { violations, open, gaps };
}

type Wrong = readonly (readonly [Invariant, string])[];

function wrongMove({ was, is }: ClaimFacts): Wrong {
  if (is === undefined || is === was) return [];
  if (was === undefined) {
    return first.has(is) ? [] : [["lifecycle", `it came to be as ${is}`]];
  }
  const isLegal = claimEvents.some((event) => next(claimLifecycle, was, event) === is);
  return isLegal ? [] : [["lifecycle", `it went from ${was} to ${is}`]];
}

/** Bound needs the handle and the fence under which the bind has begun; a held handle never changes. */
function wrongBind({ was, is, handle, fence, wasHandle, wasFence }: ClaimFacts): Wrong {
  if (is === "Bound" && (handle === undefined || fence === undefined)) {
    return [["I1", "it is Bound and names no handle"]];
  }
  const isBinding = is === "Bound" && was === "BindStarted";
  if (isBinding && (handle !== wasHandle || fence !== wasFence)) {
    const text = `it was Bound to ${handle} under fence ${fence}, and its bind began on ${wasHandle} under fence ${wasFence}`;
    return [["I1", text]];
  }
  const isHeld = wasHandle !== undefined && handle !== undefined;
  return isHeld && (handle !== wasHandle || fence !== wasFence)
    ? [["I5", `its handle changed from ${wasHandle} fence ${wasFence} to ${handle} fence ${fence}`]]
    : [];
}
