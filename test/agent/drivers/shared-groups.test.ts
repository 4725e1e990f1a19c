import { expect, test } from "vitest";
import type { InventoryDevice, InventoryHandle } from "#protocol/wire/inventory";
import { onePerGroup } from "../../../agent/drivers/shared-groups.ts";

const handle = (address: string, iommuGroup: number, attachable = true): InventoryHandle => ({
  name: "pf",
  type: "PF",
  address,
  iommuGroup,
  attachable,
  ...(attachable ? {} : { reason: "GROUP_NOT_VIABLE" }),
});

const device = (cardId: string, handles: InventoryHandle[]): InventoryDevice => ({
  cardId,
  kind: "NIC",
  vendor: "intel",
  product: "x710",
  pciVendor: "8086",
  pciDevice: "1572",
  address: handles[0]?.address ?? "",
  driver: "pci",
  layout: "pf",
  deployables: [
    {
      id: "6d0e2a3c-5b0f-5d53-9d3a-0a57f6a3a001",
      region: "card",
      programmable: false,
      sharing: "any",
      loaded: { functionId: null },
      health: { state: "ok" },
      handles,
    },
  ],
});

const verdicts = (devices: readonly InventoryDevice[]) =>
  devices
    .flatMap(({ deployables }) => deployables.flatMap(({ handles }) => handles))
    .map(({ address, attachable, reason }) => [address, attachable, reason]);

test("of handles in one group only the first can be attached, whatever the order of the cards", () => {
  const one = device("a", [handle("0000:03:00.1", 7)]);
  const other = device("b", [handle("0000:03:00.0", 7), handle("0000:04:00.0", 8)]);
  expect(verdicts(onePerGroup([one, other]))).toEqual([
    ["0000:03:00.1", false, "SHARES_GROUP_WITH 0000:03:00.0"],
    ["0000:03:00.0", true, undefined],
    ["0000:04:00.0", true, undefined],
  ]);
});

test("a handle that cannot be attached anyway takes nothing from its group, and keeps its reason", () => {
  const one = device("a", [handle("0000:03:00.0", 7, false), handle("0000:03:00.1", 7)]);
  expect(verdicts(onePerGroup([one]))).toEqual([
    ["0000:03:00.0", false, "GROUP_NOT_VIABLE"],
    ["0000:03:00.1", true, undefined],
  ]);
});
