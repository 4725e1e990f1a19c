import { absent, eq } from "#store/expression";
import { fleetKey } from "#store/keys";
import { rowOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Page } from "#store/table";

/** How many hosts are listed, and when they were counted, ms. */
interface FleetSize {
  readonly hosts: number;
  readonly countedAt: number;
}

/** A count lives this long, ms: reading the whole list costs more than being a little wrong. */
const countLifeMs = 3_600_000;

async function read(store: Store): Promise<FleetSize | undefined> {
  return valueOrUndefined<FleetSize>(await store.table.get(fleetKey()));
}

/** Hosts at the last count; 0 before the first one. */
export async function fleetSize(store: Store): Promise<number> {
  return (await read(store))?.hosts ?? 0;
}

/**
 * Counts the hosts again when the last count is an hour old, and says whether it did. Whoever counts
 * at the same time counts the same, so the first to write is enough.
 */
export async function refreshFleetSize(store: Store): Promise<boolean> {
  const before = await read(store);
  const now = store.now();
  if (before !== undefined && now - before.countedAt < countLifeMs) return false;
  const after: FleetSize = { hosts: await countHosts(store), countedAt: now };
  const item = rowOf(fleetKey(), "fleet", after, { countedAt: now });
  const same = before === undefined ? absent("pk") : eq("countedAt", before.countedAt);
  return (await store.table.write([{ kind: "put", item, if: same }])).ok;
}

async function countHosts(store: Store): Promise<number> {
  let hosts = 0;
  let after: string | undefined;
  do {
    const page: Page = await store.table.query({
      index: "gsi1",
      pk: "HOSTS",
      ...(after === undefined ? {} : { after }),
    });
    hosts += page.items.length;
    after = page.next;
  } while (after !== undefined);
  return hosts;
}
