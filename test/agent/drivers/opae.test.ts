import { describe, expect, onTestFinished, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import { blanksOf, cardsDriver, type DriverHost } from "../../../agent/drivers/cards.ts";
import type { Driver, Place } from "../../../agent/drivers/driver.ts";
import { blankImage, functions } from "../../conformance/subjects.ts";
import { places, recordedWork, verifiedImage } from "../driver-fixtures.ts";
import { firstPf, guest, hostId, toVfio } from "../kernels.ts";
import { type FakeToolOptions, fakeTools, type ToolEnd } from "../support/fake-tools.ts";
import { type OpaeCard, opaeCard, opaeShell } from "../support/opae-card.ts";

const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));
const image = verifiedImage("gbs", functions[1], opaeShell);

async function driverOf(
  card: OpaeCard,
  options: FakeToolOptions = {},
  host: Partial<DriverHost> = {},
): Promise<Driver> {
  const { tools, close } = await fakeTools(card.fpgaconf, options);
  onTestFinished(close);
  const { kernel, port } = card;
  const blanks = blanksOf([blankImage("gbs", opaeShell)]);
  return cardsDriver({ hostId, port, pr: { ...kernel }, tools, blanks, ...host });
}

async function only(driver: Driver): Promise<Place> {
  const [place] = (await places(driver)).values();
  if (!place) throw new Error("no card");
  return place;
}

describe("the old driver's cards", () => {
  test.each([
    [1, "PROGRAM_FAILED"],
    [2, "IMAGE_HEADER_INVALID"],
    [3, "CARD_DEGRADED"],
    [4, "IMAGE_INCOMPATIBLE"],
    [5, "PROGRAM_FAILED"],
    [6, "PROGRAM_FAILED"],
  ] as const)("a program that fpgaconf ends with %i is %s", async (code, expected) => {
    const card = opaeCard();
    const driver = await driverOf(card);
    const place = await only(driver);
    const before = await driver.observe(place);
    card.failNext(code);
    await expect(driver.program(place, image, recordedWork())).rejects.toEqual(fault(expected));
    expect(await driver.observe(place)).toEqual(before);
    card.failNext(code);
    const scrubbed = expected === "CARD_DEGRADED" ? expected : "SCRUB_FAILED";
    await expect(driver.scrub(place, "erase", recordedWork())).rejects.toEqual(fault(scrubbed));
  });

  test("a program that hangs is ended at its bound and told as a timeout", async () => {
    const card = opaeCard();
    const started = Promise.withResolvers<void>();
    const hangs = async (): Promise<ToolEnd> => {
      started.resolve();
      return "never";
    };
    const sleep = () => started.promise;
    const driver = await driverOf({ ...card, fpgaconf: hangs }, { sleep });
    const place = await only(driver);
    const before = await driver.observe(place);
    await expect(driver.program(place, image, recordedWork())).rejects.toEqual(
      fault("PROGRAM_TIMEOUT"),
    );
    expect(await driver.observe(place)).toEqual(before);
  });

  test("one that nothing can end keeps the card, and nothing else is started on it", async () => {
    const card = opaeCard();
    const started = Promise.withResolvers<void>();
    const end = Promise.withResolvers<ToolEnd>();
    const stuck = async (): Promise<ToolEnd> => {
      started.resolve();
      return end.promise;
    };
    const driver = await driverOf({ ...card, fpgaconf: stuck });
    const place = await only(driver);
    const first = driver.program(place, image, recordedWork());
    await started.promise;
    await expect(driver.program(place, image, recordedWork())).rejects.toEqual(fault("IN_USE"));
    await expect(driver.scrub(place, "erase", recordedWork())).rejects.toEqual(fault("IN_USE"));
    end.resolve({});
    await first;
  });

  test("only GBS files go to them", async () => {
    const driver = await driverOf(opaeCard());
    const place = await only(driver);
    const other = verifiedImage("xclbin", functions[1], opaeShell);
    await expect(driver.program(place, other, recordedWork())).rejects.toEqual(
      fault("IMAGE_INCOMPATIBLE"),
    );
  });

  test("a process that has the port is not disturbed", async () => {
    const card = opaeCard();
    const port = {
      ...card.port,
      holders: async (node: string) => (node === "/dev/intel-fpga-port.7" ? [guest] : []),
    };
    const driver = await driverOf(card, {}, { port });
    const place = await only(driver);
    await expect(driver.program(place, image, recordedWork())).rejects.toEqual(fault("IN_USE"));
  });

  test("a port in reset is degraded and shows nothing", async () => {
    const card = opaeCard();
    card.stuck.add(0);
    const driver = await driverOf(card);
    const place = await only(driver);
    expect(place.deployable.health.state).toBe("degraded");
    expect(place.deployable.loaded.functionId).toBeNull();
  });

  test("nothing is programmable without fpgaconf, and what can be reset still is", async () => {
    const driver = await driverOf(opaeCard(), { without: ["fpgaconf"] });
    const place = await only(driver);
    expect(place.deployable).toMatchObject({ programmable: false, scrubMethod: "reset" });
    expect(place.deployable.interfaceId).toBeUndefined();
    await expect(driver.program(place, image, recordedWork())).rejects.toEqual(
      fault("IMAGE_INCOMPATIBLE"),
    );
  });

  test("without a blank image they are reset, for the next tenant of the same project", async () => {
    const driver = await driverOf(opaeCard(), {}, { blanks: blanksOf([]) });
    const { deployable } = await only(driver);
    expect(deployable).toMatchObject({ programmable: true, scrubMethod: "reset" });
  });

  test("of two ports on one PF none can be handed out, and only port 0 programmed", async () => {
    const driver = await driverOf(opaeCard({ ports: 2 }));
    const found = [...(await places(driver)).values()].map(({ deployable }) => deployable);
    expect(found.map(({ region, programmable }) => [region, programmable])).toEqual([
      ["port0", true],
      ["port1", false],
    ]);
    const handles = found.flatMap(({ handles: all }) => all);
    expect(handles.map(({ name, attachable }) => [name, attachable])).toEqual([
      ["port0", false],
      ["port1", false],
    ]);
  });

  test("ports with VFs are handed out and out of the tool's reach", async () => {
    const driver = await driverOf(opaeCard({ ports: 2, vfs: 2 }));
    const found = [...(await places(driver)).values()].map(({ deployable }) => deployable);
    expect(
      found.map(({ programmable, scrubMethod, opaque, handles: [handle] }) => [
        handle?.name,
        handle?.type,
        handle?.attachable,
        programmable,
        scrubMethod,
        opaque,
      ]),
    ).toEqual([
      ["vf0", "VF", true, false, "reset", true],
      ["vf1", "VF", true, false, "reset", true],
    ]);
  });

  test("a card in a guest stays what it is, also for the next agent", async () => {
    const facts = new Map<string, unknown>();
    const memory = {
      recall: (id: string) => facts.get(id),
      remember: (id: string, what: object) => facts.set(id, what).has(id),
    };
    const card = opaeCard();
    const before = await only(await driverOf(card, {}, { memory }));
    await toVfio(card.kernel, firstPf);
    const after = await only(await driverOf(card, {}, { memory }));
    expect(after.device.driver).toBe("opae");
    expect(after.deployable).toMatchObject({
      id: before.deployable.id,
      interfaceId: opaeShell,
      programmable: true,
      opaque: true,
    });
  });

  test("a card whose driver shows no engine is a problem", async () => {
    const card = opaeCard();
    const path = `/sys/bus/pci/devices/${firstPf}/fpga/intel-fpga-dev.4`;
    const list = async (one: string) =>
      one === path ? ["intel-fpga-port.7"] : card.port.list(one);
    const driver = await driverOf(card, {}, { port: { ...card.port, list } });
    const { devices, problems } = await driver.discover();
    expect(devices).toEqual([]);
    expect(problems[0]?.reason).toMatch(/management engine/);
  });
});
