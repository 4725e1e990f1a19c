import { type HeldProvider, planTree } from "#openstack/placement/plan";
import type { PlacementRecord } from "#store/placement";
import { hostFacts, type PlacementParts, wantedOf } from "./placement-parts.ts";

/**
 * True when a host's providers are as they were last seen or written, so that a change in the table
 * needs nothing of Placement: most claims change what is held, and not what is reserved. What others
 * did since then is found by the clock; who is writing at this moment looks at the table afterwards.
 */
export async function isAsRemembered(
  parts: PlacementParts,
  record: PlacementRecord,
): Promise<boolean> {
  const { root, providers, hostName, state } = record;
  if (root === undefined || state !== "synced") return false;
  const held = new Map<string, HeldProvider>();
  for (const [uuid, { name, seen }] of Object.entries(providers)) {
    if (seen === undefined) return false;
    held.set(uuid, { ...seen, name, parent: root, hasChildren: false });
  }
  const facts = await hostFacts(parts.store, record.host);
  if (facts.name !== hostName) return false;
  const wanted = wantedOf(parts, facts, await parts.images.recent());
  const ours = Object.fromEntries(
    Object.entries(providers).map(([uuid, remembered]) => [uuid, remembered.ours]),
  );
  return planTree({ root, held, wanted, ours }).length === 0;
}
