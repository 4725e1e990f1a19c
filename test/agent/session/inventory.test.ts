import { expect, test } from "vitest";
import { uuidOf } from "#protocol/uuid";
import { decodeAgentMessage, encodeMessage } from "#protocol/wire/codec";
import type { InventoryDeployable, InventoryDevice } from "#protocol/wire/inventory";
import { maxFrameBytes } from "#protocol/wire/shapes";
import { inventoryHash, inventoryParts } from "../../../agent/session/inventory.ts";

function deployable(card: number, region: number, handles: number): InventoryDeployable {
  return {
    id: uuidOf(String(card), String(region)),
    region: `port${region}`,
    programmable: true,
    sharing: "none",
    loaded: { functionId: null },
    health: { state: "ok" },
    handles: Array.from({ length: handles }, (_, n) => ({
      name: `vf${n}`,
      type: "VF",
      address: "0000:3b:00.0",
      iommuGroup: n,
      attachable: true,
    })),
  };
}

function device(card: number, regions: number, handles = 4): InventoryDevice {
  return {
    cardId: `card-${card}`,
    kind: "FPGA",
    vendor: "intel",
    product: "pac",
    pciVendor: "8086",
    pciDevice: "09c4",
    address: "0000:3b:00.0",
    driver: "simulated",
    layout: "regions",
    deployables: Array.from({ length: regions }, (_, n) => deployable(card, n, handles)),
  };
}

test("a host without cards is one empty part", () => {
  expect(inventoryParts([], 3, "hash")).toMatchObject([
    { part: 0, of: 1, epoch: 3, hash: "hash", devices: [] },
  ]);
});

test("64 cards are told in parts that are valid frames and lose none", () => {
  const devices = Array.from({ length: 64 }, (_, n) => device(n, 4));
  const parts = inventoryParts(devices, 1, inventoryHash(devices));
  expect(parts.length).toBeGreaterThan(1);
  const back = parts.map((part) => decodeAgentMessage(encodeMessage(part)));
  expect(back.map((part) => part.type === "inventory" && [part.part, part.of])).toEqual(
    parts.map((_, index) => [index, parts.length]),
  );
  expect(parts.flatMap((part) => part.devices)).toEqual(devices);
});

test("a card that fills more than a frame is told in slices with the same card id", () => {
  const large = device(1, 64, 16);
  const parts = inventoryParts([large], 1, "hash");
  expect(parts.length).toBeGreaterThan(1);
  for (const part of parts) {
    expect(Buffer.byteLength(JSON.stringify(part))).toBeLessThanOrEqual(maxFrameBytes);
  }
  const slices = parts.flatMap((part) => part.devices);
  expect(new Set(slices.map(({ cardId }) => cardId))).toEqual(new Set(["card-1"]));
  expect(slices.flatMap(({ deployables }) => deployables)).toEqual(large.deployables);
});

test("the hash ignores what is loaded and how the card feels, and nothing else", () => {
  const before = device(1, 1);
  const [only] = before.deployables;
  if (only === undefined) throw new Error("no deployable");
  const hashOf = (changes: Partial<InventoryDeployable>) =>
    inventoryHash([{ ...before, deployables: [{ ...only, ...changes }] }]);
  const same = inventoryHash([before]);
  expect(hashOf({ loaded: { functionId: uuidOf("f") } })).toBe(same);
  expect(hashOf({ health: { state: "degraded" } })).toBe(same);
  expect(hashOf({ handles: [] })).not.toBe(same);
  expect(hashOf({ scrubMethod: "reset" })).not.toBe(same);
});
