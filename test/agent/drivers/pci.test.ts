import { describe, expect, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import { cardsDriver, type DriverHost } from "../../../agent/drivers/cards.ts";
import type { KnownCard } from "../../../agent/drivers/pci-ids.ts";
import { places, recordedWork } from "../driver-fixtures.ts";
import { firstPf, hostId } from "../kernels.ts";
import { shows } from "../support/overlay.ts";
import { type PlainCard, plainCard, withDisk } from "../support/plain-card.ts";

const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));
const entry = (kind: KnownCard["kind"]): KnownCard => ({
  vendor: "acme",
  product: "thing",
  family: "pci",
  listed: true,
  ...(kind && { kind }),
});

const driverOf = ({ kernel, port }: PlainCard, host: Partial<DriverHost> = {}) =>
  cardsDriver({ hostId, port, pr: { ...kernel }, ...host });

describe("whole cards of other kinds", () => {
  test.each(["abcd:0001", "abcd:0001:abcd:0002", firstPf])(
    "are let in by the operator's entry for %s",
    async (match) => {
      const driver = driverOf(plainCard("0x030200"), { cards: { [match]: entry("GPU") } });
      const { devices, problems } = await driver.discover();
      expect(problems).toEqual([]);
      expect(devices).toMatchObject([{ kind: "GPU", vendor: "acme", product: "thing" }]);
      expect(devices[0]?.deployables).toMatchObject([
        { scrubMethod: "reset", handles: [{ name: "pf", attachable: true }] },
      ]);
    },
  );

  test("are not there without one", async () => {
    for (const classCode of ["0x010802", "0x020000", "0x030000", "0x0b4000"]) {
      const driver = driverOf(plainCard(classCode));
      expect(await driver.discover()).toEqual({ devices: [], problems: [] });
    }
  });

  test("are refused when only our own table knows them", async () => {
    const known: KnownCard = { vendor: "acme", product: "disk", family: "pci" };
    const driver = driverOf(plainCard("0x010802"), { cards: { "abcd:0001": known } });
    const { devices, problems } = await driver.discover();
    expect(devices).toEqual([]);
    expect(problems[0]?.reason).toMatch(/operator lists/);
  });

  test.each(["abcd:0001", "abcd:0001:abcd:0002", firstPf])(
    "and any others are kept back by a denial of %s",
    async (match) => {
      const cards = { "abcd:0001": entry("NIC") };
      const driver = driverOf(plainCard("0x020000"), { cards, deny: [match] });
      expect(await driver.discover()).toEqual({ devices: [], problems: [] });
    },
  );

  test("that the host uses are shown with the reason, and neither reset nor cleaned", async () => {
    const card = plainCard("0x010802");
    withDisk(card);
    const driver = driverOf(card, { cards: { "abcd:0001": entry("SSD") } });
    const [free] = (await places(driver)).values();
    if (!free) throw new Error("no card");
    expect(free.deployable.handles[0]?.attachable).toBe(true);

    card.host["/proc/swaps"] = shows(() => "/dev/nvme0n1 disk");
    const [used] = (await places(driver)).values();
    expect(used?.deployable.handles[0]).toMatchObject({
      attachable: false,
      reason: "IN_USE_BY_HOST: nvme0n1 is swap",
    });
    // Also for who still goes by the older look.
    await expect(driver.scrub(free, "reset", recordedWork())).rejects.toEqual(fault("IN_USE"));
    await expect(driver.cleanHandle(free, "pf")).rejects.toEqual(fault("IN_USE"));
  });

  test("offer VFs while their PF works for the host", async () => {
    const card = plainCard("0x0b4000", { bootVfs: 2 });
    card.parts["qat/state"] = shows(() => "up");
    const driver = driverOf(card, { cards: { "abcd:0001": entry("QAT") } });
    const [place] = (await places(driver)).values();
    expect(place?.deployable.handles.map(({ name, attachable }) => [name, attachable])).toEqual([
      ["vf0", true],
      ["vf1", true],
    ]);
    expect(place?.device.layout).toBe("vfs");
  });

  test("are not rebound while their PF works for the host", async () => {
    const card = plainCard("0x020000", { bootVfs: 2 });
    card.parts["net/eth0/flags"] = shows(() => "0x1003");
    const driver = driverOf(card, { cards: { "abcd:0001": entry("NIC") } });
    const [device] = (await driver.discover()).devices;
    if (!device) throw new Error("no card");
    const rebind = { kind: "rebind" } as const;
    await expect(driver.operate?.(device, rebind)).rejects.toEqual(fault("IN_USE"));
    card.parts["net/eth0/flags"] = shows(() => "0x1002");
    await driver.operate?.(device, rebind);
    expect((await driver.discover()).devices[0]?.deployables[0]?.handles).toHaveLength(2);
  });

  test("without a reset of their own are not offered", async () => {
    const card = plainCard("0x030200", { reset: "none" });
    const [place] = (
      await places(driverOf(card, { cards: { "abcd:0001": entry("GPU") } }))
    ).values();
    expect(place?.deployable.scrubMethod).toBeUndefined();
    expect(place?.deployable.handles[0]?.reason).toBe("NO_SCRUB_METHOD");
  });
});
