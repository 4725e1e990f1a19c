import type { Ours, RememberedTree } from "#domain/placement";
import { sameContent } from "#domain/same";
import { hostNameKey } from "#store/keys";
import {
  forgetPlacement,
  type PlacementFacts,
  type PlacementRecord,
  postponePlacement,
  readPlacement,
  type SyncState,
  writePlacement,
} from "#store/placement";
import { valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { PlacementParts } from "./placement-parts.ts";

/**
 * Drift is repaired within 120 s: the clock ticks once a minute, so a host is due again 45 to 60 s
 * after all was well.
 */
const calmMs = 60_000;
const calmJitterMs = 15_000;
/** After a failure: 5 s, doubled up to 120 s. */
const firstRetryMs = 5_000;
const longestRetryMs = 120_000;

/** What a pass found out about a host. */
export type Found = Omit<PlacementFacts, "dueAt" | "state" | "tries" | "problem">;

/** The record of a host that was never looked at. */
export function blank(host: string, hostName: string): Omit<PlacementFacts, "dueAt"> {
  return { host, hostName, state: "waiting", providers: {}, tries: 0, readAt: 0 };
}

/**
 * Notes that all is as it should be; nothing is written while that is known and not yet due. False
 * when somebody else changed the record meanwhile.
 */
export async function settle(
  { store, log }: PlacementParts,
  record: PlacementRecord | undefined,
  found: Found,
): Promise<boolean> {
  const now = store.now();
  const dueAt = now + calmMs - Math.floor(store.random() * calmJitterMs);
  const facts: PlacementFacts = { ...found, state: "synced", tries: 0, dueAt };
  if (record === undefined) return (await writePlacement(store, record, facts)) !== undefined;
  const { dueAt: wasDue, revision, ...before } = record;
  if (sameContent(before, { ...facts, dueAt: undefined })) {
    return wasDue > now || (await postponePlacement(store, record, dueAt));
  }
  if (record.state === "failed") log(`placement of ${found.hostName} is up to date again`);
  return (await writePlacement(store, { ...before, dueAt: wasDue, revision }, facts)) !== undefined;
}

/** Notes why a host is not up to date, says so once, and has it tried again by the clock. */
export async function trouble(
  { store, log }: PlacementParts,
  { host, hostName }: Pick<PlacementFacts, "host" | "hostName">,
  what: { readonly state: Exclude<SyncState, "synced">; readonly problem: string },
): Promise<void> {
  const record = await readPlacement(store, host);
  const known = record ?? blank(host, hostName);
  const wait = Math.min(firstRetryMs * 2 ** known.tries, longestRetryMs);
  const dueAt = store.now() + Math.floor(wait * (0.75 + store.random() / 4));
  const isNews = record?.state !== what.state || record.problem !== what.problem;
  if (isNews) log(`placement of ${hostName}: ${what.problem}`);
  // Whoever changed it meanwhile has looked later than we have.
  await writePlacement(store, record, { ...known, ...what, tries: known.tries + 1, dueAt });
}

/**
 * Ends the record of a host that was removed. Another host may have its name by now, and with it the
 * names of its providers: then they are that host's. False when somebody else was faster.
 */
export async function retire(store: Store, record: PlacementRecord): Promise<boolean> {
  const heir = await ownerOf(store, record);
  if (heir !== undefined && !(await bequeath(store, record, heir))) return false;
  return await forgetPlacement(store, record);
}

/** The host that has the name of a removed one now. */
export async function ownerOf(
  store: Store,
  { host, hostName }: Pick<PlacementRecord, "host" | "hostName">,
): Promise<string | undefined> {
  const item = await store.table.get(hostNameKey(hostName), { consistent: true });
  const owner = valueOrUndefined<{ readonly host: string }>(item)?.host;
  return owner === host ? undefined : owner;
}

async function bequeath(store: Store, record: PlacementRecord, heir: string): Promise<boolean> {
  const theirs = await readPlacement(store, heir);
  const known = theirs ?? blank(heir, record.hostName);
  const providers = united(record.providers, known.providers);
  const written = await writePlacement(store, theirs, {
    ...known,
    providers,
    dueAt: store.now(),
  });
  return written !== undefined;
}

function united(one: RememberedTree, other: RememberedTree): RememberedTree {
  const shared = Object.entries(other).map(([uuid, theirs]) => {
    const ours = one[uuid]?.ours;
    return [uuid, ours === undefined ? theirs : { ...theirs, ours: both(theirs.ours, ours) }];
  });
  return { ...one, ...(Object.fromEntries(shared) as RememberedTree) };
}

function both(one: Ours, other: Ours): Ours {
  const union = (of: keyof Ours) => [...new Set([...one[of], ...other[of]])].toSorted();
  return { classes: union("classes"), traits: union("traits") };
}
