import { livesOf } from "./claims.ts";
import type { ClaimFacts, QuotaFacts } from "./facts.ts";
import { grouped, type HistoryEvent, sameMomentMs, type Told, type Violation } from "./verdict.ts";

/** A claim that counts against a project's quota from one event to another. */
interface Counted {
  readonly key: string;
  readonly began: HistoryEvent;
  readonly endsAt: number;
}

const momentOf = (at: number) => Math.floor(at / sameMomentMs);

/**
 * Judges I3 where the limit is known: claims that came to be in one moment and outlive it, with all
 * that were held before, are within the highest limit of that moment. Claims from before the history
 * are not counted, so it says less than the truth and never more.
 */
export function checkQuotas(
  claims: readonly Told<ClaimFacts>[],
  quotas: readonly Told<QuotaFacts>[],
): readonly Violation[] {
  const limits = grouped(quotas, ({ facts }) => keyOf(facts.project, facts.resourceClass));
  const counted = [...livesOf(claims).values()].flatMap(countedOf);
  return [...grouped(counted, ({ key }) => key)].flatMap(([key, list]) =>
    checkKey(key, list, limits.get(key) ?? []),
  );
}

const keyOf = (project: string, resourceClass: string) => `${project} ${resourceClass}`;

/** A claim handed to another project counts there from that event on. */
function countedOf(life: readonly Told<ClaimFacts>[]): readonly Counted[] {
  const counted: Counted[] = [];
  for (const event of life) {
    const { was, is, wasProject, resourceClass } = event.facts;
    const isHanded = wasProject !== undefined && wasProject !== event.project;
    const last = counted.at(-1);
    if ((is === undefined || isHanded) && last !== undefined) {
      counted.splice(-1, 1, { ...last, endsAt: event.at });
    }
    if (is === undefined || !(was === undefined || isHanded)) continue;
    const key = keyOf(event.project ?? "", resourceClass);
    counted.push({ key, began: event, endsAt: Number.POSITIVE_INFINITY });
  }
  return counted;
}

function checkKey(
  key: string,
  counted: readonly Counted[],
  limits: readonly Told<QuotaFacts>[],
): readonly Violation[] {
  const sorted = counted.toSorted((one, other) => one.began.at - other.began.at);
  const changes = limits.toSorted((one, other) => one.at - other.at);
  const violations: Violation[] = [];
  let held: readonly Counted[] = [];
  for (const [moment, begun] of grouped(sorted, ({ began }) => String(momentOf(began.at)))) {
    const isStaying = ({ endsAt }: Counted) => momentOf(endsAt) > Number(moment);
    const staying = begun.filter(isStaying);
    held = [...held.filter(isStaying), ...staying];
    const limit = limitIn(changes, Number(moment));
    const newest = staying.at(-1);
    if (newest === undefined || limit === undefined || held.length <= limit.most) continue;
    const text = `${held.length} claims were held, and ${limit.most} were allowed`;
    const events = [limit.event, newest.began];
    violations.push({ invariant: "I3", object: key, text, events });
  }
  return violations;
}

/** The highest limit that was in force in a moment, with the event that says it. */
function limitIn(
  changes: readonly Told<QuotaFacts>[],
  moment: number,
): { readonly most: number; readonly event: HistoryEvent } | undefined {
  const before = changes.findLast(({ at }) => momentOf(at) < moment);
  const within = changes.filter(({ at }) => momentOf(at) === moment);
  const later = changes.find(({ at }) => momentOf(at) > moment);
  const known = [...(before === undefined ? [] : [before]), ...within].map((event) => ({
    most: event.facts.limit,
    event,
  }));
  const start = within[0] ?? later;
  const was = before === undefined ? start?.facts.wasLimit : undefined;
  if (start !== undefined && was !== undefined) known.push({ most: was, event: start });
  return known.toSorted((one, other) => other.most - one.most)[0];
}
