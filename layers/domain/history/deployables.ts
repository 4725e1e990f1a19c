import type { DeployableFacts } from "./facts.ts";
import { checkHandle, type HandleChange } from "./handles.ts";
import { type Finding, grouped, type Open, type Told, type Violation } from "./verdict.ts";

/** Judges what deployables' rows told: image generations and handles. */
export function checkDeployables(events: readonly Told<DeployableFacts>[]): Finding {
  const findings = [...rowsOf(events)].flatMap(([id, changes]) => [
    checkGenerations(id, changes),
    ...[...handlesOf(changes)].map(([name, list]) => checkHandle(`${id}/${name}`, list)),
  ]);
  return {
    violations: findings.flatMap(({ violations }) => violations),
    open: findings.flatMap(({ open }) => open),
    gaps: findings.reduce((sum, { gaps }) => sum + gaps, 0),
  };
}

/** Events by deployable, in the order of the row's revisions. */
export function rowsOf(
  events: readonly Told<DeployableFacts>[],
): ReadonlyMap<string, readonly Told<DeployableFacts>[]> {
  // By time first: a table that was restored goes on from an older revision.
  const sorted = events.toSorted(
    (one, other) => one.at - other.at || one.facts.revision - other.facts.revision,
  );
  return grouped(sorted, ({ deployable }) => deployable);
}

/** Changes by handle of one deployable's events. */
export function handlesOf(
  events: readonly Told<DeployableFacts>[],
): ReadonlyMap<string, readonly HandleChange[]> {
  const handles = new Map<string, HandleChange[]>();
  for (const event of events) {
    for (const [name, { was, ...is }] of Object.entries(event.facts.handles)) {
      const changes = handles.get(name) ?? [];
      changes.push({ event, was, is });
      handles.set(name, changes);
    }
  }
  return handles;
}

const busy: ReadonlySet<string> = new Set(["programming", "scrubbing"]);

function checkGenerations(object: string, rows: readonly Told<DeployableFacts>[]): Finding {
  const violations: Violation[] = [];
  let last: Told<DeployableFacts> | undefined;
  for (const event of rows) {
    // Events of one change tell the same of their row.
    if (last?.at === event.at && last.facts.revision === event.facts.revision) continue;
    const text = fallen(last, event.facts);
    if (text !== undefined) {
      const events = last === undefined ? [event] : [last, event];
      violations.push({ invariant: "I2", object, text, events });
    }
    last = event;
  }
  const open: readonly Open[] =
    last !== undefined && busy.has(last.facts.state)
      ? [{ object, text: `it is ${last.facts.state}`, since: last }]
      : [];
  return { violations, open, gaps: 0 };
}

function fallen(
  last: Told<DeployableFacts> | undefined,
  { imageGeneration, wasImageGeneration = imageGeneration }: DeployableFacts,
): string | undefined {
  const steps = [last?.facts.imageGeneration ?? 0, wasImageGeneration, imageGeneration];
  const index = steps.findIndex((step, nth) => step < (steps[nth - 1] ?? 0));
  return index < 0
    ? undefined
    : `its image generation fell from ${steps[index - 1]} to ${steps[index]}`;
}
