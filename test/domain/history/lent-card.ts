import type { Deployable } from "#domain/deployable";
import type { ClaimFacts, DeployableFacts, HandleFacts } from "#domain/history/facts";
import type { HistoryEvent } from "#domain/history/verdict";
import { applyReport } from "#domain/report";
import { grant, release } from "#domain/transitions";
import { deployable, report } from "../builders.ts";
import { claimRow, recorder } from "./recorded.ts";

export const minute = 60_000;
export const quota = { project: "p1", resourceClass: "CUSTOM_FPGA_INTEL_PF", limit: 1, left: 1 };

/** One card lent to p1 and, after it was cleaned, to p2; a minute between any two writes. */
export function history(): HistoryEvent[] {
  const { events, write } = recorder();
  let at = 0;
  let card: Deployable = deployable();
  const become = (after: Deployable) => {
    const was = card;
    card = after;
    return [was, after] as const;
  };
  const next = () => {
    at += minute;
    return at;
  };
  const place = { host: card.host, deployable: card.id, handle: "pf" };
  write(next(), { deployable: [undefined, card], quota: [undefined, quota] });
  for (const [id, project] of [
    ["c1", "p1"],
    ["c2", "p2"],
  ] as const) {
    const taken = become(grant(card, [{ claim: id, project, handle: "pf" }], undefined, at));
    const fence = card.handles["pf"]?.fence ?? 0;
    const granted = claimRow({ id, project, ...place, fence });
    write(next(), { deployable: taken, claim: [undefined, granted] });
    const bound = { ...granted, state: "Bound" } as const;
    const heard = become(applyReport(card, report(card), at).deployable);
    write(next(), { deployable: heard, claim: [granted, bound] });
    const released = become(release(card, "pf", at));
    write(next(), { deployable: released, claim: [bound, undefined] });
    const proven = become(applyReport(card, report(card), at).deployable);
    write(next(), { deployable: proven });
  }
  return events;
}

export const claimFacts = (event: HistoryEvent | undefined) => event?.facts as ClaimFacts;
export const rowFacts = (event: HistoryEvent | undefined) => event?.facts as DeployableFacts;

export function findIndex(events: readonly HistoryEvent[], kind: string, nth = 0): number {
  const found = events.flatMap((event, index) => (event.kind === kind ? [index] : []))[nth];
  if (found === undefined) throw new Error(`no ${kind} number ${nth}`);
  return found;
}

/** The nth event that tells of the handle going from one state to another. */
export function moveIndex(
  events: readonly HistoryEvent[],
  from: string,
  to: string,
  nth = 0,
): number {
  const found = events.flatMap((event, index) => {
    const handle = event.facts?.about === "deployable" ? event.facts.handles["pf"] : undefined;
    return handle?.was?.state === from && handle.state === to ? [index] : [];
  })[nth];
  if (found === undefined) throw new Error(`no move from ${from} to ${to}`);
  return found;
}

export type Edit = (events: HistoryEvent[]) => void;

export const editFacts =
  (find: (events: HistoryEvent[]) => number, change: object): Edit =>
  (events) => {
    const index = find(events);
    const event = events[index];
    if (event?.facts !== undefined) {
      events[index] = { ...event, facts: { ...event.facts, ...change } };
    }
  };

export const editHandle =
  (
    find: (events: HistoryEvent[]) => number,
    is: Partial<HandleFacts>,
    was?: Partial<HandleFacts>,
  ): Edit =>
  (events) => {
    const index = find(events);
    const handle = rowFacts(events[index]).handles["pf"];
    if (handle === undefined) throw new Error("this event tells of no handle");
    const before = handle.was && { ...handle.was, ...was };
    editFacts(() => index, { handles: { pf: { ...handle, ...is, was: before } } })(events);
  };

export const grantRow = (nth: number) => (events: HistoryEvent[]) =>
  moveIndex(events, "free", "claimed", nth);
export const freeRow = (events: HistoryEvent[]) => moveIndex(events, "releasing", "free");
export const releaseRow = (events: HistoryEvent[]) => moveIndex(events, "claimed", "releasing");
export const told =
  (kind: string, nth = 0) =>
  (events: HistoryEvent[]) =>
    findIndex(events, kind, nth);
export const drop =
  (find: (events: HistoryEvent[]) => number): Edit =>
  (events) =>
    void events.splice(find(events), 1);
export const move =
  (find: (events: HistoryEvent[]) => number, byMs: number): Edit =>
  (events) => {
    const index = find(events);
    const event = events[index];
    if (event !== undefined) events[index] = { ...event, at: event.at + byMs };
  };
