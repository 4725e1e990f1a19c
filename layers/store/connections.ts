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

/** The socket a message came on. UNAUTHENTICATED when it was never accepted or has been revoked. */
export async function readConnection(store: Store, id: string): Promise<Connection> {
  const item = await store.table.get(connectionKey(id), { consistent: true });
  if (item === undefined || isExpired(item, store.now())) {
    throw new Fault("UNAUTHENTICATED", "this connection is not known");
  }
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
