import { readdir } from "node:fs/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import { uuidOf } from "#protocol/uuid";
import { cardsDriver, type DriverHost } from "../../../agent/drivers/cards.ts";
import type { Driver, Place } from "../../../agent/drivers/driver.ts";
import { firmwareFolder, noFirmware } from "../../../agent/host/firmware.ts";
import { functions, rawImage } from "../../conformance/subjects.ts";
import { places, recordedWork, verifiedImage } from "../driver-fixtures.ts";
import { firstPf, hostId, nextBootId, toVfio } from "../kernels.ts";
import { type ManagerCard, managerCard } from "../support/manager-card.ts";
import { shows } from "../support/overlay.ts";

const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));
const shell = uuidOf("fpga-manager", "1172", "e003");
const image = rawImage(functions[1], shell);

function driverOf({ kernel, port, sleep, firmware }: ManagerCard, host: Partial<DriverHost> = {}) {
  return cardsDriver({ hostId, port, pr: { ...kernel }, sleep, firmware, ...host });
}

/** What an agent keeps over restarts. */
function lasting() {
  const facts = new Map<string, unknown>();
  return {
    recall: (id: string) => facts.get(id),
    remember: (id: string, what: object) => facts.set(id, what).has(id),
  };
}

async function open(options: { readonly vendorKernel?: boolean } = {}): Promise<ManagerCard> {
  const card = await managerCard(options);
  onTestFinished(card.close);
  return card;
}

async function only(driver: Driver): Promise<Place> {
  const [place] = (await places(driver)).values();
  if (!place) throw new Error("no card");
  return place;
}

describe("loading by the FPGA manager", () => {
  test("writes a whole image by its bare name and leaves no file", async () => {
    const card = await open();
    const driver = driverOf(card);
    await driver.program(await only(driver), image, recordedWork());
    expect(card.written).toEqual([`0:${image.bytes.toString()}`]);
    expect(await readdir(card.folder)).toEqual([]);
  });

  test.each([
    ["EIO", "write complete error", "reconfig CRC error", "PROGRAM_FAILED"],
    ["EIO", "write init error", "reconfig incompatible image", "IMAGE_INCOMPATIBLE"],
    ["ETIMEDOUT", "write error", "", "PROGRAM_TIMEOUT"],
    ["EBUSY", "operating", "", "IN_USE"],
    ["ENODEV", "unknown", "", "CARD_GONE"],
    ["EINVAL", "parse header error", "", "PROGRAM_FAILED"],
    ["", "firmware request error", "", "PROGRAM_FAILED"],
  ] as const)("that ends with %s and %j %s is %s", async (errno, state, status, expected) => {
    const card = await open();
    const driver = driverOf(card);
    const place = await only(driver);
    await driver.program(place, image, recordedWork());
    card.failNext(errno, state, status);
    const other = rawImage(functions[2], shell);
    await expect(driver.program(place, other, recordedWork())).rejects.toEqual(fault(expected));
    // Nobody knows what is in there now.
    expect((await driver.observe(place)).loaded.functionId).toBeNull();
    expect((await driver.observe(place)).health.state === "degraded").toBe(
      state.endsWith(" error"),
    );
    expect(await readdir(card.folder)).toEqual([]);
  });

  test("takes raw images only", async () => {
    const driver = driverOf(await open());
    const other = verifiedImage("gbs", functions[1], shell);
    const program = driver.program(await only(driver), other, recordedWork());
    await expect(program).rejects.toEqual(fault("IMAGE_INCOMPATIBLE"));
  });

  test("needs a folder that takes files", async () => {
    const card = await open();
    for (const firmware of [noFirmware, firmwareFolder("/nowhere/at/all")]) {
      const driver = driverOf(card, { firmware });
      const program = driver.program(await only(driver), image, recordedWork());
      await expect(program).rejects.toEqual(fault("PROGRAM_FAILED"));
    }
  });

  test("is impossible when the driver has left meanwhile", async () => {
    const card = await open();
    const driver = driverOf(card);
    const place = await only(driver);
    await card.kernel.write("/sys/bus/pci/drivers/sim-accel/unbind", firstPf, 1000);
    const program = driver.program(place, image, recordedWork());
    await expect(program).rejects.toEqual(fault("CARD_GONE"));
  });
});

describe("what is loaded", () => {
  test("is known to the next agent, but not after a reboot", async () => {
    const card = await open();
    const memory = lasting();
    const driver = driverOf(card, { memory });
    await driver.program(await only(driver), image, recordedWork());
    const next = driverOf(card, { memory });
    expect((await only(next)).deployable.loaded.functionId).toBe(functions[1]);
    await card.kernel.reboot(nextBootId);
    expect((await only(driverOf(card, { memory }))).deployable.loaded.functionId).toBeNull();
  });

  test("is not known once the manager started afresh", async () => {
    const card = await open();
    const driver = driverOf(card);
    await driver.program(await only(driver), image, recordedWork());
    card.manager.state = "unknown";
    expect((await only(driver)).deployable.loaded.functionId).toBeNull();
  });

  test("cannot be asked while a guest has the card, which stays what it is", async () => {
    const card = await open();
    const memory = lasting();
    const before = await only(driverOf(card, { memory }));
    await toVfio(card.kernel, firstPf);
    const after = await only(driverOf(card, { memory }));
    expect(after.deployable).toMatchObject({
      id: before.deployable.id,
      interfaceId: shell,
      programmable: true,
      opaque: true,
    });
  });
});

describe("managers that cannot be used", () => {
  test("upstream's, without the attribute: the card is shown and not programmable", async () => {
    const driver = driverOf(await open({ vendorKernel: false }));
    const { deployable } = await only(driver);
    expect(deployable.programmable).toBe(false);
    expect(deployable.interfaceId).toBeUndefined();
    expect(deployable.scrubMethod).toBe("reset");
  });

  test("of platform devices are told with the reason, others are not", async () => {
    const card = await open();
    const name = "/sys/class/fpga_manager";
    card.host[`${name}/fpga0`] = {
      link: "../../devices/soc0/firmware:zynqmp/pcap/fpga_manager/fpga0",
    };
    card.host[`${name}/fpga3`] = {
      link: `../../devices/pci0000:00/0000:00:01.0/${firstPf}/fpga_manager/fpga3`,
    };
    card.host[`${name}/fpga9`] = shows(() => "");
    const { devices, problems } = await driverOf(card).discover();
    expect(devices).toHaveLength(1);
    expect(problems).toEqual([
      { address: "fpga0", reason: expect.stringContaining("platform device") },
    ]);
  });

  test("a card of the operator's list without its driver is a problem", async () => {
    const card = await open();
    await card.kernel.write("/sys/bus/pci/drivers/sim-accel/unbind", firstPf, 1000);
    const cards = { "1172:e003": { vendor: "a", product: "b", family: "fpga-manager" } };
    const { devices, problems } = await driverOf(card, { cards }).discover();
    expect(devices).toEqual([]);
    expect(problems[0]?.reason).toMatch(/driver bound/);
  });
});
