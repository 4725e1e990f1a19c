import type { Beat } from "#domain/host";
import { readBeat, replaceBeat } from "#store/hosts";
import type { Store } from "#store/store";

/** Makes the heartbeat say this, whatever it said. */
export async function changeBeatState(
  store: Store,
  host: string,
  state: Beat["state"],
): Promise<void> {
  const beat = await readBeat(store, host);
  await replaceBeat(store, beat, { ...beat, state });
}
