import type { Deployable } from "#domain/deployable";
import type { Host } from "#domain/host";
import type { Image } from "#domain/image";
import { listDeployables } from "#store/deployables";
import { listHosts } from "#store/hosts";
import { callForSync, hostToSync, type PlacementRecord, readPlacement } from "#store/placement";
import type { Item } from "#store/table";
import type { Change } from "../events/table-changed.ts";
import { hostNameOf, type PlacementParts } from "./placement-parts.ts";
import { isAsRemembered } from "./placement-remembered.ts";
import { type Synced, syncHost } from "./placement-sync.ts";
import { type ChangedImage, changedHosts, changedImages, isConcerned } from "./placement-views.ts";

/** Hosts that are compared at a time. */
const parallel = 8;
const pageSize = 200;

/**
 * Brings Placement up to date with what changed in the table. All hosts that an image concerns are
 * called for first, so that none is forgotten when this ends early. Only the table's faults are
 * thrown.
 */
export async function placementChanged(
  parts: PlacementParts,
  changes: readonly Change[],
): Promise<void> {
  const hosts = new Set(changedHosts(changes));
  const images = changedImages(changes);
  if (images.length > 0) {
    const concerned = await concernedHosts(parts, images);
    await inParallel([...concerned], async ([host, hostName]) => {
      await callForSync(parts.store, { host, hostName });
      hosts.add(host);
    });
  }
  const knowing = images.length === 0 ? parts : { ...parts, images: overlaid(parts, images) };
  await syncAll(knowing, [...hosts]);
}

/** Compares a host of the work list, unless somebody did since it was listed. */
export async function syncDue(parts: PlacementParts, item: Item): Promise<Synced> {
  const record = await readPlacement(parts.store, hostToSync(item));
  if (record === undefined || record.dueAt > parts.store.now()) return "same";
  return await syncHost(parts, record.host);
}

/**
 * Calls for every host that was never compared, as when Placement is new to an installation. Returns
 * how many there were.
 */
export async function enlistHosts(parts: PlacementParts): Promise<number> {
  const { store } = parts;
  const missing: Host[] = [];
  let after: string | undefined;
  do {
    const page = await listHosts(store, { limit: pageSize, after });
    await inParallel(page.items, async (host) => {
      if ((await readPlacement(store, host.id)) === undefined) missing.push(host);
    });
    after = page.next;
  } while (after !== undefined);
  await inParallel(missing, async ({ id, name }) => {
    await callForSync(store, { host: id, hostName: name });
  });
  return missing.length;
}

/** A service that is away is not asked again for every host: the clock comes back to them. */
async function syncAll(parts: PlacementParts, hosts: readonly string[]): Promise<void> {
  let isAway = false;
  await inParallel(hosts, async (host) => {
    const record = await readPlacement(parts.store, host);
    if (record?.state === "failed" && record.dueAt > parts.store.now()) return;
    if (isAway) await callLater(parts, host, record);
    else if (record === undefined || !(await isAsRemembered(parts, record))) {
      isAway ||= await isFailing(parts, host);
    }
  });
}

async function isFailing(parts: PlacementParts, host: string): Promise<boolean> {
  if ((await syncHost(parts, host)) !== "waiting") return false;
  return (await readPlacement(parts.store, host))?.state === "failed";
}

async function callLater(
  { store }: PlacementParts,
  host: string,
  record: PlacementRecord | undefined,
): Promise<void> {
  const hostName = record?.hostName ?? (await hostNameOf(store, host));
  if (hostName !== undefined) await callForSync(store, { host, hostName });
}

/** Hosts with a deployable that one of these images fits or that has it, by id, with their names. */
async function concernedHosts(
  { store }: PlacementParts,
  images: readonly ChangedImage[],
): Promise<ReadonlyMap<string, string>> {
  const hosts = new Map<string, string>();
  const isWanted = (one: Deployable) =>
    one.present && images.some((image) => isConcerned(one, image));
  let after: string | undefined;
  do {
    const page = await listDeployables(store, isWanted, { limit: pageSize, after });
    for (const { host, hostName } of page.items) hosts.set(host, hostName);
    after = page.next;
  } while (after !== undefined);
  return hosts;
}

/** The index of images may lag behind the stream: what the stream brought counts, if it is newer. */
function overlaid(
  { images }: PlacementParts,
  changed: readonly ChangedImage[],
): PlacementParts["images"] {
  const over = (known: readonly Image[]): readonly Image[] => {
    const byId = new Map(known.map((image) => [image.id, image]));
    for (const { after } of changed) {
      if (after !== undefined && (byId.get(after.id)?.revision ?? 0) < after.revision) {
        byId.set(after.id, after);
      }
    }
    return [...byId.values()];
  };
  return {
    recent: async () => over(await images.recent()),
    fresh: async () => over(await images.fresh()),
  };
}

async function inParallel<Entry>(
  entries: readonly Entry[],
  act: (entry: Entry) => Promise<void>,
): Promise<void> {
  const left = [...entries];
  const work = async () => {
    for (let entry = left.shift(); entry !== undefined; entry = left.shift()) await act(entry);
  };
  await Promise.all(Array.from({ length: Math.min(parallel, entries.length) }, work));
}
