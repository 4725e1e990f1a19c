import { Fault, type FaultDetail } from "#domain/faults";
import type { Card } from "#protocol/wire/card";
import type { InventoryHandle } from "#protocol/wire/inventory";
import { isOnVfio, vfioHolders } from "../host/vfio-groups.ts";
import type { Equipment } from "./ports.ts";
import type { Site } from "./site.ts";

type Floor = Card["floors"][string];

/**
 * The agent's own look before a card is operated on (design §2): nobody has any handle of this
 * deployable, by the newest wish, by the journal, or by what the kernel says. Throws IN_USE,
 * CARD_STUCK, or STALE_FENCE when counters above `floor` tell of a grant since the lock was taken.
 */
export async function requireFree(
  site: Site,
  floor: Floor | undefined,
  equipment: Equipment,
): Promise<void> {
  requireNoLaterGrant(site, floor);
  requireNoWork(site);
  requireNoClaim(site);
  requireNoPlug(site);
  for (const handle of site.place?.deployable.handles ?? []) {
    await requireNobodyAt(handle, site, equipment);
  }
}

function requireNoLaterGrant(site: Site, floor: Floor | undefined): void {
  if (floor === undefined) return;
  const later = Object.entries(site.fences).find(
    ([name, fence]) => fence > (floor.fences[name] ?? 0),
  );
  if (later === undefined && site.marks.imageGeneration <= floor.imageGeneration) return;
  throw new Fault("STALE_FENCE", "the card has been granted since", { deployable: site.id });
}

function requireNoWork(site: Site): void {
  const { stuck, operation } = site.journal;
  if (stuck !== undefined) throw new Fault("CARD_STUCK", stuck.reason, { deployable: site.id });
  if (operation !== undefined) throw inUse(`a ${operation.kind} is under way`, site);
}

function requireNoClaim(site: Site): void {
  const wished = Object.entries((site.newest ?? site.wish)?.handles ?? {});
  const [held] = wished.filter(([, { claim }]) => claim !== undefined);
  if (held === undefined) return;
  const [handle, { claim }] = held;
  throw inUse(`claim ${claim?.id} holds ${handle}`, site, { handle, claim: claim?.id });
}

function requireNoPlug(site: Site): void {
  const [plugged] = Object.entries(site.journal.handles).filter(
    ([, { plug, local }]) => plug !== undefined || local?.plugged === true,
  );
  if (plugged === undefined) return;
  const [handle] = plugged;
  throw inUse(`${handle} is plugged`, site, { handle });
}

async function requireNobodyAt(
  { name: handle, address }: InventoryHandle,
  site: Site,
  { kernel }: Equipment,
): Promise<void> {
  const [holder] = await vfioHolders(kernel, address);
  if (holder !== undefined) {
    const { pid, command } = holder;
    throw inUse(`${handle} at ${address} is held by ${command} (${pid})`, site, { handle });
  }
  if (await isOnVfio(kernel, address)) {
    throw inUse(`${handle} at ${address} is bound for a guest`, site, { handle });
  }
}

function inUse(message: string, { id }: Site, detail: FaultDetail = {}): Fault {
  return new Fault("IN_USE", message, { deployable: id, ...detail });
}
