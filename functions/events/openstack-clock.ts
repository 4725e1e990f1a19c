import { type OwedAllocation, owedAllocationOf } from "#store/allocations";
import { dueRows } from "#store/due";
import { owedEventOf } from "#store/outbox";
import type { Item } from "#store/table";
import { type Create, entry } from "../entry.ts";
import { deliver, type Telling } from "../openstack/nova-events.ts";
import { releaseOrphans } from "../openstack/orphans.ts";
import { enlistHosts, syncDue } from "../openstack/placement-changes.ts";
import { secondSystems } from "../parts/second-systems.ts";

/** Who acts for OpenStack by the clock. */
export interface Ticking extends Telling {
  /** Compares one host with Placement again. */
  readonly syncDue: (item: Item) => Promise<unknown>;
  /** Makes or drops allocations of native claims. */
  readonly settleAllocation: (owed: OwedAllocation) => Promise<unknown>;
  /** Calls for hosts that were never compared, as when Placement is new to an installation. */
  readonly enlistHosts: () => Promise<number>;
  /** Releases the requests of instances that are gone. */
  readonly releaseOrphans: () => Promise<number>;
}

/** What one tick did, for its log line and for tests. */
export interface Ticked {
  readonly events: number;
  readonly hosts: number;
  readonly allocations: number;
  readonly enlisted: number;
  readonly released: number;
  readonly failures: number;
}

/** Hosts that are compared at a time. */
const parallel = 8;
/** So long a tick goes on; what is left comes with the next one, a minute after this one began. */
const mostMs = 45_000;
/** Minutes between two looks at all hosts, and at all requests. */
const every = { hosts: 2, requests: 10 };

/** Settles what second systems are owed, each on its own: one that fails holds up no other. */
export async function tick(ticking: Ticking): Promise<Ticked> {
  const { store } = ticking;
  const ticked = { events: 0, hosts: 0, allocations: 0, enlisted: 0, released: 0, failures: 0 };
  const began = store.now();
  const count = async (kind: keyof Ticked, act: () => Promise<unknown>) => {
    try {
      const done = await act();
      ticked[kind] += typeof done === "number" ? done : 1;
    } catch (error) {
      console.error(error);
      ticked.failures += 1;
    }
  };
  const minute = Math.floor(began / 60_000);
  if (minute % every.hosts === 0) await count("enlisted", ticking.enlistHosts);
  const running = new Set<Promise<void>>();
  for await (const item of dueRows(store, "SYNC")) {
    if (store.now() - began > mostMs) break;
    const run = settle(ticking, item, count).finally(() => running.delete(run));
    running.add(run);
    if (running.size >= parallel) await Promise.race(running);
  }
  await Promise.all(running);
  if (minute % every.requests === 0) await count("released", ticking.releaseOrphans);
  return ticked;
}

async function settle(
  ticking: Ticking,
  item: Item,
  count: (kind: keyof Ticked, act: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const type = item["type"];
  if (type === "outbox") {
    await count("events", async () => await deliver(ticking, owedEventOf(item), 1));
  }
  if (type === "placement") await count("hosts", async () => await ticking.syncDue(item));
  if (type === "allocation") {
    await count("allocations", async () => await ticking.settleAllocation(owedAllocationOf(item)));
  }
}

/** Once a minute. Without a cloud nothing is owed to it. */
export const create: Create = (environment) => {
  const parts = secondSystems(environment);
  if (parts === undefined) return async () => undefined;
  const ticking: Ticking = {
    ...parts,
    syncDue: async (item) => await syncDue(parts.placement, item),
    enlistHosts: async () => await enlistHosts(parts.placement),
    releaseOrphans: async () => await releaseOrphans(parts),
  };
  return async () => await tick(ticking);
};

export const handler = entry(create);
