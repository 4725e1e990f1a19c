import { Fault } from "#domain/faults";
import type { Beat, Host } from "#domain/host";
import { absent, all, eq, exists, set } from "#store/expression";
import { beatKey, hostKey, hostNameKey, joinKey, watched } from "#store/keys";
import { type List, listShardsOf, type Wanted } from "#store/lists";
import { expiry, isExpired, rowOf, valueOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Key, Write } from "#store/table";

function hostRow(host: Host): Item & Key {
  const listed = host.state === "removed" ? {} : { gsi1pk: "HOSTS", gsi1sk: host.name };
  return rowOf(hostKey(host.id), "host", host, { revision: host.revision, ...listed });
}

/**
 * The heartbeat's row: its attributes stand alone because grants check them. While its host may be
 * silent one day it is on the list of heartbeats.
 */
export function beatRow(beat: Beat): Item & Key {
  const { host, state, epoch, seenAt, connection, inventoryHash, withdrawing } = beat;
  const isOwed = state !== "offline" || withdrawing === true;
  return {
    ...beatKey(host),
    type: "beat",
    host,
    state,
    epoch,
    seenAt,
    connection,
    inventoryHash,
    withdrawing,
    ...(isOwed ? watched(host) : {}),
  };
}

/** The heartbeat a row holds. */
export function beatOf(item: Item): Beat {
  const { host, state, epoch, seenAt, ...others } = item as unknown as Beat;
  const { connection, inventoryHash, withdrawing } = others;
  return { host, state, epoch, seenAt, connection, inventoryHash, withdrawing };
}

/** A new host under a name nobody has, with its heartbeat row. NAME_TAKEN; CONFLICT. */
export async function createHost(store: Store, host: Host, also: readonly Write[]): Promise<void> {
  const beat: Beat = { host: host.id, state: "offline", epoch: 0, seenAt: 0 };
  const result = await store.table.write([
    { kind: "put", item: hostRow(host), if: absent("pk") },
    {
      kind: "put",
      item: rowOf(hostNameKey(host.name), "pointer", { host: host.id }),
      if: absent("pk"),
    },
    { kind: "put", item: beatRow(beat), if: absent("pk") },
    ...also,
  ]);
  if (result.ok) return;
  const [, named] = result.failures;
  if (named?.reason !== "condition") throw new Fault("CONFLICT", "this host is being created");
  throw new Fault("NAME_TAKEN", `a host named ${host.name} exists`, { field: "name" });
}

/** One host, consistently read. UNKNOWN_HOST. */
export async function readHost(store: Store, id: string): Promise<Host> {
  const host = valueOrUndefined<Host>(await store.table.get(hostKey(id), { consistent: true }));
  if (host === undefined) throw new Fault("UNKNOWN_HOST", `no host ${id}`, { field: "host" });
  return host;
}

/** A host by id or by node name. UNKNOWN_HOST. */
export async function findHost(store: Store, idOrName: string): Promise<Host> {
  const [byId, byName] = await store.table.getMany([hostKey(idOrName), hostNameKey(idOrName)]);
  const host = valueOrUndefined<Host>(byId);
  if (host !== undefined) return host;
  if (byName === undefined) {
    throw new Fault("UNKNOWN_HOST", `no host ${idOrName}`, { field: "host" });
  }
  return await readHost(store, valueOf<{ readonly host: string }>(byName).host);
}

/**
 * Changes a host by a pure function of its newest value, while `also` holds. UNKNOWN_HOST; TRY_AGAIN.
 */
export async function changeHost(
  store: Store,
  id: string,
  change: (host: Host) => Host,
  also: readonly Write[] = [],
): Promise<Host> {
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const before = await readHost(store, id);
    const after = change(before);
    if (after === before) return before;
    const next = { ...after, revision: before.revision + 1, updatedAt: store.now() };
    const result = await store.table.write([replaceHost(before, next), ...also]);
    if (result.ok) return next;
    await store.sleep(store.random() * 20 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

/** Replaces a host that nobody else changed since it was read. */
export function replaceHost(before: Host, after: Host): Write {
  return { kind: "put", item: hostRow(after), if: eq("revision", before.revision) };
}

/** Removes a host's name, so that another host may take it. */
export function freeHostName(name: string): Write {
  return { kind: "delete", key: hostNameKey(name) };
}

/** Hosts by name, or the one of a name. */
export async function listHosts(store: Store, wanted: Wanted, name?: string): Promise<List<Host>> {
  const entry = (item: Item) => {
    const host = valueOf<Host>(item);
    return name === undefined || host.name === name ? host : undefined;
  };
  return await listShardsOf(store, { index: "gsi1", prefix: "HOSTS", entry }, wanted);
}

/** The heartbeat of a host, consistently read. */
export async function readBeat(store: Store, host: string): Promise<Beat> {
  const item = await store.table.get(beatKey(host), { consistent: true });
  if (item === undefined) throw new Fault("UNKNOWN_HOST", `no host ${host}`, { field: "host" });
  return beatOf(item);
}

/** Holds only while nobody changed the host since it was read. */
export function hostUnchanged(host: Host): Write {
  return { kind: "check", key: hostKey(host.id), if: eq("revision", host.revision) };
}

/** Holds only while the session is the same and as alive as when it was read. */
export function beatUnchanged({ host, epoch, state }: Beat): Write {
  return { kind: "check", key: beatKey(host), if: all(eq("epoch", epoch), eq("state", state)) };
}

/** Notes beside the heartbeat which inventory was applied. */
export function noteInventory(host: string, hash: string): Write {
  const changes = [set("inventoryHash", hash)];
  return { kind: "update", key: beatKey(host), changes, if: exists("pk") };
}

/** Replaces the heartbeat while nobody opened a newer session and `also` holds; else false. */
export async function replaceBeat(
  store: Store,
  before: Beat,
  after: Beat,
  also: readonly Write[] = [],
): Promise<boolean> {
  const { epoch, seenAt, state } = before;
  const same = all(eq("epoch", epoch), eq("seenAt", seenAt), eq("state", state));
  const put: Write = { kind: "put", item: beatRow(after), if: same };
  return (await store.table.write([put, ...also])).ok;
}

/** Join tokens live for an hour (design §6). */
export const joinTokenMs = 3_600_000;

/** A one-time token: the table holds only its digest. */
export function joinTokenRow(digest: string, host: string, now: number): Write {
  const value = { host, usedAt: null };
  const attributes = { used: false, expiresAt: expiry(now, joinTokenMs) };
  return { kind: "put", item: rowOf(joinKey(digest), "join", value, attributes) };
}

/** The host a token was made for. JOIN_TOKEN_INVALID, JOIN_TOKEN_USED, JOIN_TOKEN_EXPIRED. */
export async function hostOfToken(store: Store, digest: string): Promise<string> {
  const item = await store.table.get(joinKey(digest), { consistent: true });
  if (item === undefined) throw new Fault("JOIN_TOKEN_INVALID");
  if (item["used"] === true) throw new Fault("JOIN_TOKEN_USED");
  if (isExpired(item, store.now())) throw new Fault("JOIN_TOKEN_EXPIRED");
  return valueOf<{ readonly host: string }>(item).host;
}

/** Uses a token up, in the transaction that stores the agent's key. */
export function consumeToken(digest: string): Write {
  return {
    kind: "update",
    key: joinKey(digest),
    changes: [{ op: "set", path: "used", value: true }],
    if: eq("used", false),
  };
}
