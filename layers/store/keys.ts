import type { Key } from "#store/table";

/** Every key shape of the table (docs/table.md lists the queries they serve). */

/** Shards of one class's free pool: bounds the write rate of one index partition. */
export const poolShards = 4;
/** Shards of the sweep's work list. */
export const dueShards = 4;
/** Shards of the list of all deployables and all claims. */
export const listShards = 4;

/** Which of `count` shards an id belongs to; ids are uuids, so their first digits are uniform. */
export function shardOf(id: string, count: number): number {
  return Number.parseInt(id.slice(0, 8), 16) % count;
}

const padded = (value: number, digits: number) => String(value).padStart(digits, "0");

export const hostKey = (id: string): Key => ({ pk: `HOST#${id}`, sk: "HOST" });
export const beatKey = (id: string): Key => ({ pk: `HOST#${id}`, sk: "BEAT" });
export const hostNameKey = (name: string): Key => ({ pk: `HOSTNAME#${name}`, sk: "HOSTNAME" });
export const deviceKey = (host: string, id: string): Key => ({
  pk: `HOST#${host}`,
  sk: `DEV#${id}`,
});
export const deployableKey = (host: string, id: string): Key => ({
  pk: `HOST#${host}`,
  sk: `DPL#${id}`,
});
/** The lock of a card: there while an operation holds it. */
export const cardKey = (host: string, device: string): Key => ({
  pk: `HOST#${host}`,
  sk: `CARD#${device}`,
});
/** What became of an operation on a card. */
export const cardOperationKey = (device: string, id: string): Key => ({
  pk: `CARD#${device}`,
  sk: `OP#${id}`,
});
export const partKey = (host: string, inventory: string, part: number): Key => ({
  pk: `HOST#${host}`,
  sk: `PART#${inventory}#${padded(part, 4)}`,
});
export const claimKey = (id: string): Key => ({ pk: `CLAIM#${id}`, sk: "CLAIM" });
export const instanceKey = (instance: string, claim: string): Key => ({
  pk: `INSTANCE#${instance}`,
  sk: `CLAIM#${claim}`,
});
/** A claim that waits on this host for a card to be offered, oldest first. */
export const waitKey = (host: string, createdAt: number, claim: string): Key => ({
  pk: `HOST#${host}`,
  sk: `WAIT#${padded(createdAt, 15)}#${claim}`,
});
/** What a second system has not been told yet of a claim. */
export const outboxKey = (claim: string): Key => ({ pk: `OUTBOX#${claim}`, sk: "NOVA" });
/** An allocation in Placement that is to be made for these claims, named by the first, or dropped. */
export const allocationKey = (claim: string, order: "take" | "drop"): Key => ({
  pk: `OUTBOX#${claim}`,
  sk: `ALLOCATION#${order}`,
});
export const profileUseKey = (profile: string, claim: string): Key => ({
  pk: `PROFILE#${profile}`,
  sk: `CLAIM#${claim}`,
});
/** How many hosts there are, counted now and then. */
export const fleetKey = (): Key => ({ pk: "FLEET#hosts", sk: "FLEET" });
export const imageKey = (id: string): Key => ({ pk: `IMAGE#${id}`, sk: "IMAGE" });
/** How far Glance's images were followed. */
export const glanceCursorKey = (): Key => ({ pk: "GLANCE#cursor", sk: "CURSOR" });
export const signingKeyKey = (id: string): Key => ({ pk: `KEY#${id}`, sk: "KEY" });
export const profileKey = (name: string): Key => ({ pk: `PROFILE#${name}`, sk: "PROFILE" });
/** Points from a profile's uuid to its name: an index would not know a new one at once. */
export const profileIdKey = (id: string): Key => ({ pk: `PROFILE#${id}`, sk: "ID" });
export const quotaKey = (project: string, resourceClass: string): Key => ({
  pk: `QUOTA#${project}`,
  sk: `USE#${resourceClass}`,
});
export const operationKey = (deployable: string, generation: number): Key => ({
  pk: `DPL#${deployable}`,
  sk: `OP#${padded(generation, 12)}`,
});
export const receiptKey = (deployable: string, number: number): Key => ({
  pk: `DPL#${deployable}`,
  sk: `RECEIPT#${padded(number, 12)}`,
});
export const idempotencyKey = (id: string): Key => ({ pk: `IDEMPOTENCY#${id}`, sk: "IDEMPOTENCY" });
export const connectionKey = (id: string): Key => ({ pk: `CONNECTION#${id}`, sk: "CONNECTION" });
export const joinKey = (digest: string): Key => ({ pk: `JOIN#${digest}`, sk: "JOIN" });
export const secretKey = (name: string): Key => ({ pk: `SECRET#${name}`, sk: "SECRET" });
export const eventKey = (scope: string, at: number, id: string): Key => ({
  pk: `EVENTS#${scope}`,
  sk: `${padded(at, 15)}#${id}`,
});

/** The pool a free deployable is offered in. */
export const poolPk = (resourceClass: string, shard: number) => `FREE#${resourceClass}#${shard}`;
/** Within a pool: by region, then loaded image, then id. `-` = none. */
export const poolSk = (region: string | undefined, image: string | undefined, id: string) =>
  `${region ?? "-"}#${image ?? "-"}#${id}`;

/**
 * Work lists: the sweep's, the one of second systems, images that are owed between us and Glance, and
 * those whose judgement is owed.
 */
export type DueList = "DUE" | "SYNC" | "GLANCE" | "JUDGE";
/** Also the list of heartbeats, which has no times: its sweep looks at every one. */
export type ListName = DueList | "BEAT";
/** An open obligation in a work list; `at` in ms. */
export const due = (at: number, kind: string, id: string, list: DueList = "DUE") => ({
  gsi3pk: `${list}#${shardOf(id, dueShards)}`,
  gsi3sk: `${padded(at, 15)}#${kind}#${id}`,
});
/** A host whose signs of life are watched; no ping moves it. */
export const watched = (host: string) => ({
  gsi3pk: `BEAT#${shardOf(host, dueShards)}`,
  gsi3sk: host,
});
/** The largest work-list key that is due at `now`. */
export const dueUntil = (now: number) => `${padded(now, 15)}#~`;
