import type { Provider } from "#domain/providers/provider";
import { sameContent } from "#domain/same";
import { applyPlan } from "#openstack/placement/apply";
import { type Look, look, withUsages } from "#openstack/placement/look";
import { type HeldProvider, planTree, type TreeWrite } from "#openstack/placement/plan";
import { providerId } from "#protocol/uuid";
import { type PlacementRecord, readPlacement, writePlacement } from "#store/placement";
import { afterwards, beforehand } from "./placement-memory.ts";
import {
  type HostFacts,
  hostFacts,
  hostNameOf,
  type PlacementParts,
  wantedOf,
} from "./placement-parts.ts";
import { blank, type Found, ownerOf, retire, settle } from "./placement-record.ts";

/** However calm the generations look, everything is read once in this time. */
const readAllMs = 3_600_000;
/** Should the process end in the middle, the clock goes on after this long. */
const resumeMs = 30_000;

/** One host that is being compared, over several passes. */
export interface Pass {
  readonly parts: PlacementParts;
  readonly host: string;
  /** Providers of our names that stood in Placement before we knew of them. */
  readonly strangers: Set<string>;
}

/**
 * How one pass ended. `again`: somebody else was faster; `changed`: Placement was written and the
 * table has moved on meanwhile; `absent`: Placement has no provider of the host.
 */
export type Passed = "same" | "written" | "again" | "changed" | "absent";

/** What was known before Placement was asked. */
interface Start {
  readonly record: PlacementRecord | undefined;
  readonly found: Found;
  readonly isFull: boolean;
}

interface Plan {
  readonly wanted: readonly Provider[];
  readonly held: ReadonlyMap<string, HeldProvider>;
  readonly writes: readonly TreeWrite[];
}

/** Looks at Placement, then at the table, and writes what differs. */
export async function onePass(pass: Pass): Promise<Passed> {
  const { parts, host, strangers } = pass;
  const start = await begin(parts, host);
  if (start === undefined) return "same";
  const { record, found, isFull } = start;
  const seen = await look(parts.client, {
    hostName: found.hostName,
    root: found.root,
    remembered: found.providers,
    also: [...strangers],
    trusting: !isFull,
  });
  const facts = await hostFacts(parts.store, host);
  if (facts.name === undefined) {
    if (record === undefined) return "same";
    const isOver = seen === undefined || (await ownerOf(parts.store, record)) !== undefined;
    if (isOver) return (await retire(parts.store, record)) ? "same" : "again";
  } else if (facts.name !== found.hostName) {
    return "again";
  }
  if (seen === undefined) return "absent";
  return await act(pass, start, seen, facts);
}

async function begin(parts: PlacementParts, host: string): Promise<Start | undefined> {
  const { store } = parts;
  const [record, name] = await Promise.all([readPlacement(store, host), hostNameOf(store, host)]);
  const hostName = name ?? record?.hostName;
  if (hostName === undefined) return undefined;
  const isFull = store.now() - (record?.readAt ?? 0) >= readAllMs;
  const { root, providers, readAt } = record ?? blank(host, hostName);
  const found = { host, hostName, root, providers, readAt: isFull ? store.now() : readAt };
  return { record, found, isFull };
}

async function act(pass: Pass, start: Start, seen: Look, facts: HostFacts): Promise<Passed> {
  const { parts, strangers } = pass;
  const { images } = parts;
  const planned = async (wanted: readonly Provider[]) => await planOf(parts, start, seen, wanted);
  const calm = await planned(wantedOf(parts, facts, await images.recent()));
  // Images that are a moment old do to see that all is well, but not to write by.
  const isCalm = calm.writes.length === 0;
  const plan = isCalm ? calm : await planned(wantedOf(parts, facts, await images.fresh()));
  const met = plan.wanted
    .map(({ name }) => providerId(name))
    .filter((uuid) => seen.nodes.has(uuid) && !seen.held.has(uuid));
  for (const uuid of met) strangers.add(uuid);
  if (met.length > 0) return "again";
  const found = { ...start.found, root: seen.root };
  if (plan.writes.length > 0) return await carryOut(pass, { ...start, found }, plan);
  const providers = afterwards(found.providers, plan.wanted, plan.held);
  return await rest(parts, start.record, { ...found, providers }, facts);
}

/** Nothing is left to write: a host that was removed is forgotten with its last provider. */
async function rest(
  parts: PlacementParts,
  record: PlacementRecord | undefined,
  found: Found,
  { name }: HostFacts,
): Promise<Passed> {
  const isOver = name === undefined && Object.keys(found.providers).length === 0;
  const isDone =
    isOver && record !== undefined
      ? await retire(parts.store, record)
      : await settle(parts, record, found);
  return isDone ? "same" : "again";
}

async function planOf(
  { client }: PlacementParts,
  { found: { providers } }: Start,
  seen: Look,
  wanted: readonly Provider[],
): Promise<Plan> {
  const held = await withUsages(client, seen.held, { remembered: providers, wanted });
  const ours = Object.fromEntries(
    Object.entries(providers).map(([uuid, remembered]) => [uuid, remembered.ours]),
  );
  return { wanted, held, writes: planTree({ root: seen.root, held, wanted, ours }) };
}

/** Notes what will be ours, writes it, notes what is there now, and looks whether it still holds. */
async function carryOut(
  { parts, host }: Pass,
  { record, found }: Start,
  { wanted, held, writes }: Plan,
): Promise<Passed> {
  const { store, client } = parts;
  const owned = beforehand(found.providers, wanted);
  const isOwned = record !== undefined && sameContent(owned, record.providers);
  const noted = isOwned
    ? record
    : await writePlacement(store, record, {
        ...(record ?? blank(host, found.hostName)),
        ...found,
        providers: owned,
        dueAt: store.now() + resumeMs,
      });
  if (noted === undefined) return "again";
  const root = found.root ?? "";
  const now = await applyPlan(client, writes, { root, held });
  const providers = afterwards(owned, wanted, now);
  if (!(await settle(parts, noted, { ...found, providers }))) return "again";
  const facts = await hostFacts(store, host);
  const isOver = facts.name === undefined && Object.keys(providers).length === 0;
  const later = wantedOf(parts, facts, await parts.images.recent());
  return sameContent(later, wanted) && !isOver ? "written" : "changed";
}
