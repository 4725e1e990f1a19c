import { describe, expect, onTestFinished, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import { afiFunctionId } from "#protocol/images/afi";
import { uuidOf } from "#protocol/uuid";
import { cardsDriver, type DriverHost } from "../../../agent/drivers/cards.ts";
import type { Driver, Place } from "../../../agent/drivers/driver.ts";
import { kernelError } from "../../../agent/host/sysfs-port.ts";
import type { Tools } from "../../../agent/host/tools.ts";
import { afiImage } from "../../conformance/subjects.ts";
import { places, recordedWork } from "../driver-fixtures.ts";
import { devices, firstPf, hostId } from "../kernels.ts";
import { type AwsCard, awsCard } from "../support/aws-card.ts";
import { type FakeToolOptions, fakeTools } from "../support/fake-tools.ts";

const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));
const agfi = "agfi-0123456789abcdef0";
const image = afiImage(agfi, uuidOf("aws-fpga", "f2"));

interface Bench {
  readonly driver: Driver;
  readonly tools: Tools;
}

async function open(
  card: AwsCard,
  options: FakeToolOptions = {},
  host: Partial<DriverHost> = {},
): Promise<Bench> {
  const { tools, close } = await fakeTools(card.tool, { ...options, inProcess: true });
  onTestFinished(close);
  const { kernel, port, sleep } = card;
  const driver = cardsDriver({ hostId, port, pr: { ...kernel }, tools, sleep, ...host });
  return { driver, tools };
}

async function only(driver: Driver): Promise<Place> {
  const [place] = (await places(driver)).values();
  if (!place) throw new Error("no card");
  return place;
}

describe("loading an AFI", () => {
  test("takes PF0's driver off, loads by id, and the slot then names it", async () => {
    const card = awsCard();
    const { driver } = await open(card);
    const place = await only(driver);
    await driver.program(place, image, recordedWork());
    expect(card.acts).toEqual(["load with none"]);
    expect(card.slot.agfi).toBe(agfi);
    // Its PCI ids are others now, and it is the same card all the same.
    const now = await only(driver);
    expect(now.deployable).toMatchObject({
      id: place.deployable.id,
      loaded: { functionId: afiFunctionId(agfi) },
    });
  });

  test.each([
    ["afi-load-timeout", "PROGRAM_TIMEOUT"],
    ["cl-id-mismatch", "READ_BACK_MISMATCH"],
    ["unspecified-error", "PROGRAM_FAILED"],
  ] as const)("is tried once more on an empty slot after %s", async (error, expected) => {
    const card = awsCard();
    const { driver } = await open(card);
    const place = await only(driver);
    card.failures.push(error);
    await driver.program(place, image, recordedWork());
    expect(card.acts.map((act) => act.split(" ")[0])).toEqual(["load", "clear", "load"]);

    // A second failure is the end of it.
    card.failures.push(error, "none", error);
    await expect(driver.program(place, image, recordedWork())).rejects.toEqual(fault(expected));
  });

  test.each([
    ["invalid-afi-id", "IMAGE_INCOMPATIBLE", ["load", "clear"]],
    ["shell-version-not-supported", "IMAGE_INCOMPATIBLE", ["load", "clear"]],
    ["busy", "IN_USE", ["load"]],
    ["hardware-busy", "IN_USE", ["load"]],
    ["pci-device-missing", "CARD_DEGRADED", ["load"]],
    ["unresponsive", "CARD_DEGRADED", ["load"]],
  ] as const)("is not repeated after %s", async (error, expected, acts) => {
    const card = awsCard();
    const { driver } = await open(card);
    const place = await only(driver);
    card.failures.push(error);
    await expect(driver.program(place, image, recordedWork())).rejects.toEqual(fault(expected));
    expect(card.acts.map((act) => act.split(" ")[0])).toEqual(acts);
  });

  test("waits until a cleared slot is really empty", async () => {
    const card = awsCard();
    const { driver } = await open(card);
    const place = await only(driver);
    await driver.program(place, image, recordedWork());
    card.clearing = 4;
    await driver.scrub(place, "erase", recordedWork());
    expect(card.clearing).toBe(0);
    expect((await driver.observe(place)).loaded.functionId).toBeNull();
  });

  test("is undone by a clear alone where PF0 has no reset of its own", async () => {
    const card = awsCard();
    const reset = `${devices}/${firstPf}/reset`;
    const exists = async (path: string) => path !== reset && card.port.exists(path);
    const write: AwsCard["port"]["write"] = async (path, value, ms) => {
      if (path === reset) throw kernelError("ENOENT", path);
      await card.port.write(path, value, ms);
    };
    const { driver } = await open(card, {}, { port: { ...card.port, exists, write } });
    const place = await only(driver);
    expect(place.deployable.scrubMethod).toBe("erase");
    await driver.scrub(place, "erase", recordedWork());
    expect(card.acts.at(-1)).toMatch(/^clear/);
    await expect(driver.scrub(place, "reset", recordedWork())).rejects.toEqual(
      fault("SCRUB_FAILED"),
    );
  });

  test("is refused for a card that only a restart of the instance cures", async () => {
    const card = awsCard();
    const { driver } = await open(card);
    const place = await only(driver);
    card.slot.error = "unresponsive";
    const seen = await driver.observe(place);
    expect(seen.health).toMatchObject({ state: "degraded" });
    expect(seen.health.reason).toContain("stop and start the instance");
    const program = driver.program(place, image, recordedWork());
    await expect(program).rejects.toThrow("stop and start the instance");
    expect(card.acts).toEqual([]);
  });

  test("gives no other image than an AFI to the tool", async () => {
    const { driver } = await open(awsCard());
    const place = await only(driver);
    const other = { ...image, format: "gbs" as const };
    await expect(driver.program(place, other, recordedWork())).rejects.toEqual(
      fault("IMAGE_INCOMPATIBLE"),
    );
    const garbage = { ...image, bytes: Buffer.from("agfi-; reboot") };
    await expect(driver.program(place, garbage, recordedWork())).rejects.toEqual(
      fault("IMAGE_HEADER_INVALID"),
    );
  });
});

describe("other slots' loads", () => {
  /** Tools that are taken for so many calls. */
  const busy = (tools: Tools, times: number): Tools => {
    let left = times;
    const refuse = <T>(call: () => Promise<T>) =>
      left-- > 0 ? Promise.reject(kernelError("EBUSY", "aws")) : call();
    return {
      ...tools,
      describeAfi: (address) => refuse(() => tools.describeAfi(address)),
      loadAfi: (slot, id) => refuse(() => tools.loadAfi(slot, id)),
    };
  };

  test("are waited for, and a scan meanwhile says that it cannot see", async () => {
    const card = awsCard();
    const { driver, tools } = await open(card);
    const place = await only(driver);
    const held = await open(card, {}, { tools: busy(tools, 1) });
    expect((await only(held.driver)).deployable).toMatchObject({ opaque: true });
    const waiting = await open(card, {}, { tools: busy(tools, 9) });
    await waiting.driver.program(place, image, recordedWork());
    expect(card.slot.agfi).toBe(agfi);
  });

  test("that keep the tools from answering hide no card", async () => {
    const card = awsCard();
    const { tools } = await open(card);
    const mute = {
      ...tools,
      describeAfi: () => Promise.reject(kernelError("ETIMEDOUT", "aws")),
    };
    const { driver } = await open(card, {}, { tools: mute });
    expect((await only(driver)).deployable).toMatchObject({ opaque: true, programmable: true });
  });

  test("are not waited for without end", async () => {
    const card = awsCard();
    const { driver, tools } = await open(card);
    const place = await only(driver);
    const never = await open(card, {}, { tools: busy(tools, Number.POSITIVE_INFINITY) });
    await expect(never.driver.program(place, image, recordedWork())).rejects.toThrow();
    expect(card.acts).toEqual([]);
  });
});

describe("a slot", () => {
  test.each([
    ["9248", "f2"],
    ["1041", "f1"],
  ])("of the mailbox %s takes images for %s", async (device, family) => {
    const { driver } = await open(awsCard(device));
    const { deployable } = await only(driver);
    expect(deployable.interfaceId).toBe(uuidOf("aws-fpga", family));
  });

  test("that is busy is not asked what it has", async () => {
    const card = awsCard();
    card.slot.status = 2;
    const { driver } = await open(card);
    expect((await only(driver)).deployable.opaque).toBe(true);
  });

  test("whose last load failed is degraded and empty", async () => {
    const card = awsCard();
    Object.assign(card.slot, { status: 7, error: "unspecified-error" });
    const { driver } = await open(card);
    expect((await only(driver)).deployable).toMatchObject({
      loaded: { functionId: null },
      health: { state: "degraded", reason: "the last load failed: unspecified-error" },
    });
  });

  test("without the tools is shown and cannot be programmed", async () => {
    const { driver } = await open(awsCard(), {
      without: ["fpga-load-local-image", "fpga-describe-local-image"],
    });
    const { deployable } = await only(driver);
    expect(deployable).toMatchObject({ programmable: false, scrubMethod: "reset", opaque: true });
  });

  test("whose PF0 is missing says so", async () => {
    const card = awsCard();
    const exists = async (path: string) =>
      path !== `${devices}/${firstPf}` && card.port.exists(path);
    const { driver } = await open(card, {}, { port: { ...card.port, exists } });
    const { deployable } = await only(driver);
    expect(deployable.handles).toMatchObject([
      { attachable: false, reason: "PF0 is not on the bus" },
    ]);
  });

  test("that the tools describe with nonsense is a problem", async () => {
    const { tools, close } = await fakeTools(() => ({ stdout: "AFIDEVICE 0 loaded\n" }));
    onTestFinished(close);
    const { driver } = await open(awsCard(), {}, { tools });
    const { devices: found, problems } = await driver.discover();
    expect(found).toEqual([]);
    expect(problems[0]?.reason).toMatch(/cannot be read/);
  });

  test("that stays busy after a clear fails its scrub", async () => {
    const card = awsCard();
    const { driver } = await open(card);
    const place = await only(driver);
    const { tools } = await open(card);
    const slot = await tools.describeAfi(firstPf);
    if (!slot) throw new Error("no slot");
    const stays = { ...tools, describeAfi: async () => ({ ...slot, status: 2 }) };
    const { driver: stuck } = await open(card, {}, { tools: stays });
    await expect(stuck.scrub(place, "erase", recordedWork())).rejects.toEqual(
      fault("SCRUB_FAILED"),
    );
  });

  test("that the tools do not know cannot be programmed", async () => {
    const card = awsCard();
    const { driver, tools } = await open(card);
    const place = await only(driver);
    const { driver: blind } = await open(
      card,
      {},
      {
        tools: { ...tools, describeAfi: async () => undefined },
      },
    );
    await expect(blind.program(place, image, recordedWork())).rejects.toEqual(
      fault("CARD_DEGRADED"),
    );
  });
});
