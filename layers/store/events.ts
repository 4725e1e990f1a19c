import {
  type AuditEvent,
  cardEndEvents,
  cardLockEvents,
  claimEvents,
  deployableEvents,
  hostEvents,
  imageEvents,
  keyEvents,
  quotaEvents,
} from "#domain/audit";
import { eventKey } from "#store/keys";
import { type List, listShardsOf, type Wanted } from "#store/lists";
import { quotaOf } from "#store/quotas";
import { expiry, rowOf, valueOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Write } from "#store/table";

/** The audit: a projection of the table's own changes, kept for 90 days. */

export interface StoredEvent extends AuditEvent {
  readonly id: string;
  readonly at: number;
}

const lifeMs = 90 * 86_400_000;

/** The audit partition of what belongs to no project. */
export const systemScope = "system";

/** Writes what a change means; the same change delivered twice is written once. */
export async function recordEvents(
  store: Store,
  change: {
    readonly id: string;
    readonly at: number;
    readonly before: Item | undefined;
    readonly after: Item | undefined;
  },
): Promise<void> {
  const writes = eventsOf(change).map((event, index): Write => {
    const id = `${change.id}-${index}`;
    const stored: StoredEvent = { ...event, id, at: change.at };
    const key = eventKey(event.project ?? systemScope, change.at, id);
    const subject = event.deployable ?? event.image ?? event.host;
    const item = rowOf(key, "event", stored, {
      expiresAt: expiry(change.at, lifeMs),
      ...(subject === undefined ? {} : { gsi1pk: `EVENTS#${subject}`, gsi1sk: key.sk }),
      ...(event.claim === undefined ? {} : { gsi2pk: `EVENTS#${event.claim}`, gsi2sk: key.sk }),
    });
    return { kind: "put", item };
  });
  // Each alone at half of a transaction's price: a change that is delivered again writes the same rows.
  await Promise.all(writes.map(async (write) => await store.table.write([write])));
}

type Derive = (before: Item | undefined, after: Item | undefined) => readonly AuditEvent[];

/** How the rows of one type tell their story. */
function derive<Entity>(
  events: (before: Entity | undefined, after: Entity | undefined) => readonly AuditEvent[],
): Derive {
  return (before, after) =>
    events(valueOrUndefined<Entity>(before), valueOrUndefined<Entity>(after));
}

const derivations: Readonly<Record<string, Derive>> = {
  claim: derive(claimEvents),
  deployable: derive(deployableEvents),
  image: derive(imageEvents),
  host: derive(hostEvents),
  key: derive(keyEvents),
  card: derive(cardLockEvents),
  cardOperation: derive(cardEndEvents),
  quota: (before, after) => quotaEvents(before && quotaOf(before), after && quotaOf(after)),
};

function eventsOf(change: {
  readonly before: Item | undefined;
  readonly after: Item | undefined;
}): readonly AuditEvent[] {
  const { before, after } = change;
  const type = (after ?? before)?.["type"];
  const known = typeof type === "string" ? derivations[type] : undefined;
  return known?.(before, after) ?? [];
}

/** Which events are wanted: of a scope, or of one claim or subject. */
export type EventFilter =
  | { readonly scope: string }
  | { readonly claim: string }
  | { readonly subject: string };

/** Events, newest first. */
export async function listEvents(
  store: Store,
  filter: EventFilter,
  keep: (event: StoredEvent) => boolean,
  wanted: Wanted,
): Promise<List<StoredEvent>> {
  const entry = (item: Item) => {
    const event = valueOf<StoredEvent>(item);
    return keep(event) ? event : undefined;
  };
  if ("scope" in filter) {
    const page = await store.table.query({
      pk: `EVENTS#${filter.scope}`,
      reverse: true,
      limit: wanted.limit ?? 50,
      ...(wanted.after === undefined ? {} : { after: wanted.after }),
    });
    return { items: page.items.map(entry).filter((event) => event !== undefined), next: page.next };
  }
  const index = "claim" in filter ? "gsi2" : "gsi1";
  const prefix = `EVENTS#${"claim" in filter ? filter.claim : filter.subject}`;
  return await listShardsOf(store, { index, prefix, reverse: true, entry }, wanted);
}
