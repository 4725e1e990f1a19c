import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isFault } from "#domain/faults";
import { dflCard, sriovCard } from "../../../agent/host/memory-kernel/cards.ts";
import {
  addressAfter,
  addressParts,
  driverOf,
  groupOf,
  isPciAddress,
  numaNodeOf,
  pciPath,
  readIfThere,
  readPciFunction,
  slotPath,
  vfsOf,
} from "../../../agent/host/pci.ts";
import { isKernelError } from "../../../agent/host/sysfs-port.ts";
import { bench, devices } from "../kernels.ts";

const pf = "0000:10:00.0";

describe("addresses", () => {
  test("an address comes apart into hex without 0x", () => {
    expect(addressParts("10000:3b:1f.7")).toEqual({
      domain: "10000",
      bus: "3b",
      slot: "1f",
      function: "7",
    });
  });

  test.each([
    "0000:3B:00.0",
    "3b:00.0",
    "0000:3b:20.0",
    "0000:3b:00.8",
    "0000:3b:00:0",
    "0000:3b:00.0/../..",
    "0000:3b:00.0\n",
    "",
  ])("%j never becomes part of a path", (text) => {
    expect(isPciAddress(text)).toBe(false);
    expect(() => pciPath(text)).toThrow(
      expect.toSatisfy((error) => isFault(error, "INVALID_REQUEST")),
    );
  });

  test("VF addresses run on over functions, slots and buses", () => {
    expect(addressAfter(pf, 1)).toBe("0000:10:00.1");
    expect(addressAfter(pf, 8)).toBe("0000:10:01.0");
    expect(addressAfter("0000:10:1f.7", 1)).toBe("0000:11:00.0");
  });

  test("distances add up", () => {
    const distance = fc.integer({ min: 0, max: 1000 });
    fc.assert(
      fc.property(distance, distance, (a, b) => {
        expect(addressAfter(addressAfter(pf, a), b)).toBe(addressAfter(pf, a + b));
      }),
    );
  });
});

describe("slot paths", () => {
  test("bus numbers and functions are left out", () => {
    const at = (bus: string, fn: string) =>
      slotPath(`../../../devices/pci0000:00/0000:00:03.0/0000:${bus}:00.${fn}`);
    expect(at("10", "0")).toBe("pci0000:00-03.0-00");
    expect(at("42", "1")).toBe(at("10", "0"));
  });

  test("what is no link to a PCI function has none", () => {
    expect(slotPath("../../../devices/virtual/mtty")).toBeUndefined();
    expect(slotPath("../../../devices/pci0000:00")).toBeUndefined();
    expect(slotPath("")).toBeUndefined();
  });
});

describe("reading functions", () => {
  const { kernel } = bench([dflCard(0), sriovCard(1, { bootVfs: 0 })]);

  test("identity, driver, group, node and VFs come from sysfs", async () => {
    expect(await readPciFunction(kernel, pf)).toEqual({
      address: pf,
      vendor: "8086",
      device: "09c4",
      classCode: "120000",
    });
    expect(await driverOf(kernel, pf)).toBe("dfl-pci");
    expect(await groupOf(kernel, pf)).toBeTypeOf("number");
    expect(await numaNodeOf(kernel, pf)).toBe(0);
    expect([...(await vfsOf(kernel, pf))]).toEqual([
      [0, "0000:10:00.1"],
      [1, "0000:10:00.2"],
    ]);
    expect((await vfsOf(kernel, "0000:11:00.0")).size).toBe(0);
  });

  test("what is not there reads as absent, and a node of -1 as unknown", async () => {
    expect(await driverOf(kernel, "0000:99:00.0")).toBeUndefined();
    expect(await groupOf(kernel, "0000:99:00.0")).toBeUndefined();
    const unknown = bench([sriovCard(0, { numaNode: -1 })]).kernel;
    expect(await numaNodeOf(unknown, pf)).toBeUndefined();
  });

  test("an error that is not about absence is not swallowed", async () => {
    await expect(readIfThere(kernel, `${devices}/${pf}`)).rejects.toSatisfy((error) =>
      isKernelError(error, "EISDIR"),
    );
  });
});
