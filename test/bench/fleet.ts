import { randomUUID } from "node:crypto";
import type { Deployable } from "#domain/deployable";
import { enrol } from "#domain/enrol";
import { deployableId, deviceId } from "#protocol/uuid";
import { deployableRow } from "#store/deployables";
import { beatRow } from "#store/hosts";
import type { Item, Key, Table } from "#store/table";

/** A fleet that is written straight into a table: hosts online, every deployable clean and free. */
export interface Fleet {
  readonly hosts: readonly string[];
  readonly deployables: number;
}

/** The region that images of the benchmarks are for. */
export const benchRegion = "f10a0000-5eed-4a11-8000-00000000be9c";

/** The resource class of seeded cards, and the size of the fleet in the budgets (design.md §12). */
export const benchClass = "CUSTOM_FPGA_INTEL_PF";
export const benchHosts = 1_000;

/** One clean and free card of a seeded host. */
export function seededDeployable(host: string, slot: number, now: number): Deployable {
  const cardId = `slot-${slot}`;
  const address = `0000:${(16 + slot).toString(16)}:00.0`;
  const found = enrol(
    undefined,
    {
      id: deployableId(host, cardId, "card"),
      region: "card",
      interfaceId: benchRegion,
      programmable: true,
      scrubMethod: "erase",
      sharing: "none",
      loaded: { functionId: null },
      health: { state: "ok" },
      handles: [{ name: "pf", type: "PF", address, iommuGroup: slot, attachable: true }],
    },
    {
      finder: {
        host,
        hostName: `bench-${host.slice(0, 8)}`,
        device: deviceId(host, cardId),
        online: true,
      },
      device: {
        cardId,
        kind: "FPGA",
        vendor: "intel",
        product: "pac-a10",
        address,
        driver: "simulated",
        layout: "whole",
      },
    },
    now,
  );
  const handles = Object.fromEntries(
    Object.entries(found.handles).map(([name, handle]) => [
      name,
      { ...handle, state: "free" as const },
    ]),
  );
  const outcome = { generation: found.imageGeneration, result: "ready" as const };
  return { ...found, handles, clean: true, outcome };
}

/** Writes `hosts` × `cards` deployables, 32 writes at a time. */
export async function seedFleet(table: Table, hosts: number, cards: number): Promise<Fleet> {
  const now = Date.now();
  const ids = Array.from({ length: hosts }, () => randomUUID());
  const rows = function* (): Generator<Item & Key> {
    for (const host of ids) {
      // A year ahead: a benchmark must not lose its hosts for want of pings.
      yield beatRow({ host, state: "online", epoch: 1, seenAt: now + 365 * 86_400_000 });
      for (let slot = 0; slot < cards; slot += 1) {
        yield deployableRow(seededDeployable(host, slot, now));
      }
    }
  };
  const queue = rows();
  const writer = async (): Promise<void> => {
    for (const item of queue) await table.write([{ kind: "put", item }]);
  };
  await Promise.all(Array.from({ length: 32 }, writer));
  return { hosts: ids, deployables: hosts * cards };
}
