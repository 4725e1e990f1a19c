import { livesOf } from "./claims.ts";
import { handlesOf, rowsOf } from "./deployables.ts";
import type { ClaimFacts, DeployableFacts } from "./facts.ts";
import {
  grouped,
  type HistoryEvent,
  type Invariant,
  sameMomentMs,
  settleMs,
  type Told,
  type Violation,
} from "./verdict.ts";

/** One claim on one handle under one fence, from an event that shows it to the event that ends it. */
interface Hold {
  readonly claim: string;
  /** `deployable/handle`. */
  readonly place: string;
  readonly fence: number;
  readonly began: HistoryEvent;
  readonly ended?: HistoryEvent | undefined;
  readonly device?: string | undefined;
  readonly layout?: string | undefined;
}

/**
 * Judges what rows say together: a handle has at most one claim, a claim one handle, a card one
 * layout; a later grant has a higher fence; who lost a handle was told. Rows are written together
 * but told apart, so two events of different rows have an order only beyond {@link sameMomentMs}.
 */
export function checkHolds(
  claims: readonly Told<ClaimFacts>[],
  deployables: readonly Told<DeployableFacts>[],
): readonly Violation[] {
  const newest = [...claims, ...deployables].reduce((latest, { at }) => Math.max(latest, at), 0);
  const byClaim = holdsOfClaims(claims);
  const byRow = holdsOfRows(deployables);
  return [
    ...oneClaimPerFence([...byClaim, ...byRow]),
    ...[...grouped(byClaim, ({ place }) => place)].flatMap(([place, holds]) =>
      inTurn(place, holds, newest),
    ),
    ...[...grouped(byRow, ({ claim }) => claim)].flatMap(([claim, holds]) =>
      overlaps(holds, ({ place }) => place, {
        object: claim,
        text: (one, other) => `it held ${one.place} and ${other.place} at once`,
      }),
    ),
    ...[...grouped(byRow, ({ device }) => device)].flatMap(([device, holds]) =>
      overlaps(holds, ({ layout }) => layout ?? "", {
        object: device,
        text: (one, other) =>
          `claims ${one.claim} and ${other.claim} held it in layouts ${one.layout} and ${other.layout} at once`,
      }),
    ),
    ...lostUntold(byRow, byClaim, newest),
  ];
}

function holdsOfClaims(events: readonly Told<ClaimFacts>[]): readonly Hold[] {
  return [...livesOf(events)].flatMap(([claim, life]) => {
    const holds: Hold[] = [];
    for (const event of life) {
      const { handle, fence, wasHandle } = event.facts;
      const last = holds.at(-1);
      if (wasHandle !== undefined && handle === undefined && last?.ended === undefined) {
        holds.splice(-1, 1, ...(last === undefined ? [] : [{ ...last, ended: event }]));
      }
      if (handle === undefined || wasHandle !== undefined || fence === undefined) continue;
      holds.push({ claim, place: `${event.deployable}/${handle}`, fence, began: event });
    }
    return holds;
  });
}

function holdsOfRows(events: readonly Told<DeployableFacts>[]): readonly Hold[] {
  return [...rowsOf(events)].flatMap(([id, rows]) =>
    [...handlesOf(rows)].flatMap(([name, changes]) => {
      const holds: Hold[] = [];
      for (const { event, is } of changes) {
        const last = holds.at(-1);
        if (last !== undefined && last.ended === undefined) {
          if (last.claim === is.claim) continue;
          holds.splice(-1, 1, { ...last, ended: event });
        }
        if (is.claim === undefined) continue;
        const { device, layout } = event.facts;
        const place = `${id}/${name}`;
        holds.push({ claim: is.claim, place, fence: is.fence, began: event, device, layout });
      }
      return holds;
    }),
  );
}

function broken(
  invariant: Invariant,
  object: string,
  text: string,
  [one, other]: readonly [Hold, Hold],
): Violation {
  return { invariant, object, text, events: [one.began, other.began] };
}

function oneClaimPerFence(holds: readonly Hold[]): readonly Violation[] {
  const byFence = grouped(holds, ({ place, fence }) => `${place} ${fence}`);
  return [...byFence.values()].flatMap((same) => {
    const one = same[0];
    const other = same.find(({ claim }) => claim !== one?.claim);
    if (one === undefined || other === undefined) return [];
    const text = `claims ${one.claim} and ${other.claim} hold it under the same fence ${one.fence}`;
    return [broken("I1", one.place, text, [one, other])];
  });
}

/** Fences are the true order of grants: each must end before the next begins, and time must agree. */
function inTurn(place: string, holds: readonly Hold[], newest: number): readonly Violation[] {
  const sorted = holds.toSorted((one, other) => one.fence - other.fence);
  return sorted.flatMap((one, index) => {
    const following = sorted[index + 1];
    if (following === undefined || following.fence === one.fence) return [];
    const begins = following.began.at;
    if (begins + sameMomentMs < one.began.at) {
      const text = `fence ${following.fence} was granted before fence ${one.fence}`;
      return [broken("I2", place, text, [following, one])];
    }
    const isUntold = one.ended === undefined && begins + settleMs <= newest;
    const isLate = one.ended !== undefined && begins + sameMomentMs < one.ended.at;
    if (!isUntold && !isLate) return [];
    const text = `claim ${following.claim} was granted it while claim ${one.claim} held it`;
    return [broken("I1", place, text, [one, following])];
  });
}

/** Two holds of one object that differ in `kind` and overlap beyond doubt. */
function overlaps(
  holds: readonly Hold[],
  kind: (hold: Hold) => string,
  say: { readonly object: string; readonly text: (one: Hold, other: Hold) => string },
): readonly Violation[] {
  const violations: Violation[] = [];
  const longest = new Map<string, Hold>();
  for (const hold of holds.toSorted((one, other) => one.began.at - other.began.at)) {
    for (const [name, other] of longest) {
      if (name === kind(hold) || endOf(other) <= hold.began.at + sameMomentMs) continue;
      violations.push(broken("I1", say.object, say.text(other, hold), [other, hold]));
    }
    const known = longest.get(kind(hold));
    if (known === undefined || endOf(known) < endOf(hold)) longest.set(kind(hold), hold);
  }
  return violations;
}

const endOf = ({ ended }: Hold) => ended?.at ?? Number.POSITIVE_INFINITY;

/** A handle was taken from a claim that still believes to hold it. */
function lostUntold(
  byRow: readonly Hold[],
  byClaim: readonly Hold[],
  newest: number,
): readonly Violation[] {
  const believed = new Map(byClaim.map((hold) => [`${hold.claim} ${hold.place}`, hold]));
  return byRow.flatMap((hold) => {
    const own = believed.get(`${hold.claim} ${hold.place}`);
    if (own === undefined || own.ended !== undefined || hold.ended === undefined) return [];
    if (own.fence !== hold.fence || hold.ended.at + settleMs > newest) return [];
    const text = `it lost ${hold.place}, and its own row does not say so`;
    return [
      { invariant: "I5" as const, object: hold.claim, text, events: [own.began, hold.ended] },
    ];
  });
}
