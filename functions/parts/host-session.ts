import { Fault } from "#domain/faults";
import type { Beat } from "#domain/host";
import { mark } from "#domain/transitions";
import { closeConnection } from "#store/connections";
import { changeDeployable, deployablesOf } from "#store/deployables";
import { readBeat, replaceBeat } from "#store/hosts";
import type { Store } from "#store/store";
import type { Push } from "./push.ts";

/** What it takes to end a session. */
export interface Sessions {
  readonly store: Store;
  readonly push: Pick<Push, "close">;
}

/** Changes the heartbeat's row unless a newer session is opened meanwhile; returns what it was. */
export async function changeBeat(
  store: Store,
  host: string,
  change: (beat: Beat) => Beat,
): Promise<Beat> {
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const before = await readBeat(store, host);
    const after = change(before);
    if (after === before || (await replaceBeat(store, before, after))) return before;
    await store.sleep(store.random() * 20 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

/** Ends a host's session: it is not heard any more, and its socket is forgotten and closed. */
export async function endSession({ store, push }: Sessions, host: string): Promise<void> {
  const { connection } = await changeBeat(store, host, (beat) => ({
    ...beat,
    state: "offline",
    epoch: beat.epoch + 1,
    connection: undefined,
  }));
  if (connection === undefined) return;
  await closeConnection(store, connection);
  try {
    await push.close(connection);
  } catch (error) {
    // The socket is not believed any more, open or not; the gateway closes it after 2 h at most.
    console.warn(`socket ${connection} could not be closed: ${String(error)}`);
  }
}

/** Takes every deployable of a host off offer until its next hello; what is held stays held. */
export async function withdraw(store: Store, host: string): Promise<void> {
  const deployables = await deployablesOf(store, host);
  await Promise.all(
    deployables.map(
      async (known) =>
        await changeDeployable(store, known, (one) =>
          mark(one, { hostOnline: false }, store.now()),
        ),
    ),
  );
}
