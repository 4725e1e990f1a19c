import { Fault } from "#domain/faults";
import { exists, set } from "#store/expression";
import { connectionKey } from "#store/keys";
import { expiry, isExpired, rowOf, valueOf } from "#store/rows";
import type { Store } from "#store/store";

/** One open socket: whose it is and which session it opened; epoch 0 = no `hello` yet. */
export interface Connection {
  readonly id: string;
  readonly host: string;
  readonly publicKey: string;
  readonly epoch: number;
}

/** The gateway closes a socket after 2 h (serverless.md §9); its row is gone a little later. */
const lifeMs = 2 * 3_600_000 + 600_000;

/** Remembers an accepted socket. */
export async function openConnection(
  store: Store,
  connection: Omit<Connection, "epoch">,
): Promise<void> {
  await store.table.write([
    {
      kind: "put",
      item: rowOf(connectionKey(connection.id), "connection", connection, {
        epoch: 0,
        expiresAt: expiry(store.now(), lifeMs),
      }),
    },
  ]);
}

/**
 * The socket a message of session `epoch` came on, if it is of one. UNAUTHENTICATED when it was never
 * accepted or has been revoked. A cheap read that may be a moment old serves when it knows the
 * session: whether that one is still heard, the heartbeat decides.
 */
export async function readConnection(
  store: Store,
  id: string,
  epoch?: number,
): Promise<Connection> {
  const recent = epoch === undefined ? undefined : await findConnection(store, id, false);
  if (recent !== undefined && recent.epoch === epoch) return recent;
  const connection = await findConnection(store, id, true);
  if (connection !== undefined) return connection;
  throw new Fault("UNAUTHENTICATED", "this connection is not known");
}

async function findConnection(
  store: Store,
  id: string,
  consistent: boolean,
): Promise<Connection | undefined> {
  const item = await store.table.get(connectionKey(id), { consistent });
  if (item === undefined || isExpired(item, store.now())) return undefined;
  return { ...valueOf<Omit<Connection, "epoch">>(item), epoch: Number(item["epoch"]) };
}

/** The session a `hello` opened on a socket. */
export async function nameSession(store: Store, id: string, epoch: number): Promise<void> {
  await store.table.write([
    {
      kind: "update",
      key: connectionKey(id),
      changes: [set("epoch", epoch)],
      if: exists("pk"),
    },
  ]);
}

/** Forgets a socket that was closed. */
export async function closeConnection(store: Store, id: string): Promise<void> {
  await store.table.write([{ kind: "delete", key: connectionKey(id) }]);
}
