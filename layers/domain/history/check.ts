import { checkClaims } from "./claims.ts";
import { checkDeployables } from "./deployables.ts";
import type { ClaimFacts, DeployableFacts, Facts, QuotaFacts } from "./facts.ts";
import { checkHolds } from "./holds.ts";
import { checkQuotas } from "./quotas.ts";
import { checkReceipts, type HistoryReceipt } from "./receipts.ts";
import type { Finding, HistoryEvent, Told, Violation } from "./verdict.ts";

/** What a history shows. `unjudged` events should have had facts and have none that are known. */
export interface Verdict extends Finding {
  readonly judged: number;
  readonly unjudged: number;
  /** Events of what no invariant speaks of: images, hosts, keys, cards. */
  readonly beside: number;
  readonly claims: number;
  readonly deployables: number;
  readonly receipts: number;
}

const judgeable = /^(claim|deployable|handle|quota)\./;

/**
 * Says whether a history kept the invariants. Events may come in any order, twice, and from any time
 * on; what is not in them is never held against anyone, except an end that must have followed.
 */
export function checkHistory(
  given: readonly HistoryEvent[],
  receipts: readonly HistoryReceipt[] = [],
): Verdict {
  const events = [...new Map(given.map((event) => [event.id, event])).values()];
  const claims = events.filter((event) => isAbout<ClaimFacts>(event, "claim"));
  const deployables = events.filter((event) => isAbout<DeployableFacts>(event, "deployable"));
  const quotas = events.filter((event) => isAbout<QuotaFacts>(event, "quota"));
  const [lives, rows] = [checkClaims(claims), checkDeployables(deployables)];
  const judged = claims.length + deployables.length + quotas.length;
  const wanted = events.filter(({ kind, facts }) => facts !== undefined || judgeable.test(kind));
  return {
    violations: once([
      ...rows.violations,
      ...lives.violations,
      ...checkHolds(claims, deployables),
      ...checkQuotas(claims, quotas),
      ...checkReceipts(receipts),
    ]),
    open: [...rows.open, ...lives.open],
    gaps: rows.gaps + lives.gaps,
    judged,
    unjudged: wanted.length - judged,
    beside: events.length - wanted.length,
    claims: new Set(claims.map(({ claim }) => claim)).size,
    deployables: new Set(deployables.map(({ deployable }) => deployable)).size,
    receipts: receipts.length,
  };
}

/** Facts without the id of what they are about judge nothing. */
function isAbout<Kind extends Facts>(
  event: HistoryEvent,
  about: Kind["about"],
): event is Told<Kind> {
  if (event.facts?.about !== about) return false;
  return about === "quota" || event[about === "claim" ? "claim" : "deployable"] !== undefined;
}

/** Two rules may see the same fault: it is said once. */
function once(violations: readonly Violation[]): readonly Violation[] {
  const key = ({ invariant, object, events }: Violation) =>
    [invariant, object, ...events.map(({ id }) => id)].join(" ");
  return [...new Map(violations.toReversed().map((one) => [key(one), one])).values()].toReversed();
}
