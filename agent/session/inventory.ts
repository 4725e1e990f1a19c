import { type Canonical, canonicalDigest } from "#protocol/canonical";
import { uuidOf } from "#protocol/uuid";
import type { InventoryDevice } from "#protocol/wire/inventory";
import type { Inventory } from "#protocol/wire/messages";
import { maxFrameBytes } from "#protocol/wire/shapes";
import { without } from "../memory/without.ts";

/** Bytes kept free in a frame for what is round the devices. */
const envelopeBytes = 1024;

/**
 * Digest of what a host has. What is loaded and how a card feels travels in reports, so it is left
 * out: otherwise every program would send the whole inventory again.
 */
export function inventoryHash(devices: readonly InventoryDevice[]): string {
  const lasting = devices.map(({ deployables, ...device }) => ({
    ...device,
    deployables: deployables.map((deployable) => without(deployable, "loaded", "health")),
  }));
  return canonicalDigest(JSON.parse(JSON.stringify(lasting)) as Canonical);
}

/**
 * The inventory in frames of at most 32 KB. A card that is too large for one frame is told in
 * several entries of the same `cardId`, each with some of its deployables.
 */
export function inventoryParts(
  devices: readonly InventoryDevice[],
  epoch: number,
  hash: string,
): readonly Inventory[] {
  const groups: InventoryDevice[][] = [[]];
  let bytes = 0;
  for (const device of devices.flatMap(slices)) {
    const size = sizeOf(device);
    const last = groups.at(-1) ?? [];
    if (last.length > 0 && (bytes + size > maxFrameBytes - envelopeBytes || last.length >= 64)) {
      groups.push([device]);
      bytes = size;
    } else {
      last.push(device);
      bytes += size;
    }
  }
  const id = uuidOf("inventory", hash, String(epoch));
  return groups.map((group, index) => ({
    type: "inventory",
    id,
    epoch,
    part: index,
    of: groups.length,
    hash,
    devices: group,
  }));
}

function slices(device: InventoryDevice): readonly InventoryDevice[] {
  const { deployables } = device;
  if (sizeOf(device) <= maxFrameBytes - envelopeBytes || deployables.length < 2) return [device];
  const half = Math.ceil(deployables.length / 2);
  return [deployables.slice(0, half), deployables.slice(half)].flatMap((some) =>
    slices({ ...device, deployables: some }),
  );
}

function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value)) + 1;
}
