import { owedAllocationOf } from "#store/allocations";
import { owedRows } from "#store/due";
import { owedEventOf } from "#store/outbox";
import { type PlacementRecord, placementOf } from "#store/placement";
import type { Store } from "#store/store";

/** What second systems are owed at this moment. */
export interface Owed {
  /** Events Nova has not accepted: how many, tries so far, and when the oldest was owed (ms). */
  readonly events: { readonly count: number; readonly tries: number; readonly since?: number };
  /** Orders of allocations that Placement has not carried out. */
  readonly allocations: number;
  /** Hosts with a record of their providers. */
  readonly hosts: readonly PlacementRecord[];
}

/** Reads the work list of second systems; a row per host, so its cost grows with the fleet. */
export async function owedNow(store: Store): Promise<Owed> {
  const created: number[] = [];
  const hosts: PlacementRecord[] = [];
  let tries = 0;
  let allocations = 0;
  for await (const item of owedRows(store, "SYNC")) {
    const type = item["type"];
    if (type === "outbox") {
      const event = owedEventOf(item);
      created.push(event.createdAt);
      tries += event.tries;
    }
    if (type === "allocation") allocations += owedAllocationOf(item).claims.length;
    if (type === "placement") hosts.push(placementOf(item));
  }
  const since = created.length === 0 ? {} : { since: Math.min(...created) };
  return { events: { count: created.length, tries, ...since }, allocations, hosts };
}
