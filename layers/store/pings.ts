import { Fault } from "#domain/faults";
import type { Beat } from "#domain/host";
import { all, eq, ne, set } from "#store/expression";
import { beatOf, readBeat } from "#store/hosts";
import { beatKey } from "#store/keys";
import type { Store } from "#store/store";
import type { Failure, Item } from "#store/table";

/** What a ping is: the session that speaks, and the inventory that its agent has. */
export interface Heard {
  readonly host: string;
  readonly epoch: number;
  readonly inventoryHash?: string | undefined;
}

/**
 * Notes a sign of life: one small update, and no read. SUPERSEDED when another session is the newest
 * or this one was given up as silent; UNKNOWN_HOST. False when the table has another inventory than
 * the agent.
 */
export async function notePing(store: Store, heard: Heard): Promise<boolean> {
  for (let attempt = 0; attempt < 4; attempt += 1) {
    const refused = await beatWrite(store, heard, heard.inventoryHash);
    if (refused === undefined) return true;
    if (refused.reason === "condition") return await noteOther(store, heard, refused.item);
    await store.sleep(store.random() * 20 * 2 ** attempt);
  }
  // Grants hold the row: they prove nothing of the host, but the next ping is near.
  const beat = await readBeat(store, heard.host);
  checkHeard(beat, heard);
  return isSameInventory(beat, heard);
}

/** The first look was refused: by a session that is over, or by the inventory alone. */
async function noteOther(store: Store, heard: Heard, item: Item | undefined): Promise<boolean> {
  if (item === undefined) throw new Fault("UNKNOWN_HOST", `no host ${heard.host}`);
  const beat = beatOf(item);
  checkHeard(beat, heard);
  await beatWrite(store, heard, undefined);
  return isSameInventory(beat, heard);
}

function checkHeard(beat: Beat, { epoch }: Heard): void {
  if (beat.epoch !== epoch) {
    throw new Fault("SUPERSEDED", `the newest session of this host is ${beat.epoch}`);
  }
  // Its deployables were withdrawn: it must say hello again.
  if (beat.state === "offline") {
    throw new Fault("SUPERSEDED", "this session was given up as silent");
  }
}

function isSameInventory(beat: Beat, { inventoryHash }: Heard): boolean {
  return inventoryHash === undefined || inventoryHash === beat.inventoryHash;
}

async function beatWrite(
  store: Store,
  { host, epoch }: Heard,
  inventoryHash: string | undefined,
): Promise<Failure | undefined> {
  const alive = [eq("epoch", epoch), ne("state", "offline")];
  const known = inventoryHash === undefined ? [] : [eq("inventoryHash", inventoryHash)];
  const result = await store.table.write([
    {
      kind: "update",
      key: beatKey(host),
      changes: [set("seenAt", store.now())],
      if: all(...alive, ...known),
      repeatable: true,
    },
  ]);
  return result.ok ? undefined : (result.failures[0] ?? { reason: "conflict" });
}
