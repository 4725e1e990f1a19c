import { describe, expect, onTestFinished, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import { blanksOf, cardsDriver } from "../../../agent/drivers/cards.ts";
import type { Driver, Place } from "../../../agent/drivers/driver.ts";
import { programUserBy } from "../../../agent/host/tools.ts";
import { blankImage, functions } from "../../conformance/subjects.ts";
import { places, recordedWork, verifiedImage } from "../driver-fixtures.ts";
import { devices, firstPf, hostId } from "../kernels.ts";
import { type FakeToolOptions, fakeTools, type ToolEnd } from "../support/fake-tools.ts";
import { type XrtCard, xrtCard, xrtShell } from "../support/xrt-card.ts";

const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));
const image = verifiedImage("xclbin", functions[1], xrtShell);

async function driverOf(
  { kernel, sleep, tool }: XrtCard,
  options: FakeToolOptions = {},
  behave: XrtCard["tool"] = tool,
): Promise<Driver> {
  const { tools, close } = await fakeTools(behave, options);
  onTestFinished(close);
  const blanks = blanksOf([blankImage("xclbin", xrtShell)]);
  const pr = { ...kernel, programUser: programUserBy(tools) };
  return cardsDriver({ hostId, port: kernel, pr, tools, sleep, blanks });
}

async function only(driver: Driver): Promise<Place> {
  const [place] = (await places(driver)).values();
  if (!place) throw new Error("no card");
  return place;
}

/** A card that a failed program took offline. */
async function offline(options?: FakeToolOptions, behave?: XrtCard["tool"]) {
  const card = xrtCard();
  const driver = await driverOf(card, options, behave);
  const place = await only(driver);
  await card.kernel.failNext(card.cardId, "card", "timeout");
  const direct = cardsDriver({
    hostId,
    port: card.kernel,
    pr: { ...card.kernel },
    sleep: card.sleep,
  });
  await expect(direct.program(place, image, recordedWork())).rejects.toEqual(
    fault("PROGRAM_TIMEOUT"),
  );
  return { card, driver, place };
}

describe("Alveo cards", () => {
  test("run nothing but program and reset, whatever they go through", async () => {
    const { card, driver, place } = await offline();
    await driver.program(place, image, recordedWork());
    await driver.scrub(place, "erase", recordedWork());
    expect(card.commands.map((line) => line.replace(/\/.*/, ""))).toEqual([
      `xbutil --batch --force reset --device ${firstPf.replace(/0$/, "1")}`,
      `xbmgmt --batch --force program --device ${firstPf} --user `,
      `xbmgmt --batch --force program --device ${firstPf} --user `,
    ]);
  });

  test("that went offline say so and come back by a reset, without xbutil by sysfs", async () => {
    const { card, driver, place } = await offline({ without: ["xbutil"] });
    expect((await driver.observe(place)).health.state).toBe("degraded");
    await driver.program(place, image, recordedWork());
    const { loaded, health } = await driver.observe(place);
    expect([loaded.functionId, health.state]).toEqual([functions[1], "ok"]);
    expect(card.commands.some((line) => line.startsWith("xbutil"))).toBe(false);
  });

  test("that stay offline need the host restarted", async () => {
    const { driver, place } = await offline({}, async (): Promise<ToolEnd> => ({}));
    const program = driver.program(place, image, recordedWork());
    await expect(program).rejects.toThrow("the host must be restarted");
  });

  test("whose reset fails are degraded", async () => {
    const { driver, place } = await offline({}, async (): Promise<ToolEnd> => ({ code: 1 }));
    await expect(driver.program(place, image, recordedWork())).rejects.toEqual(
      fault("CARD_DEGRADED"),
    );
  });

  test("take no other kind of image", async () => {
    const driver = await driverOf(xrtCard());
    const gbs = verifiedImage("gbs", functions[1], xrtShell);
    const program = driver.program(await only(driver), gbs, recordedWork());
    await expect(program).rejects.toEqual(fault("IMAGE_INCOMPATIBLE"));
  });

  test("hand out the user function alone, and not beside its manager in one group", async () => {
    const apart = await only(await driverOf(xrtCard()));
    expect(apart.deployable.handles).toMatchObject([
      { address: firstPf.replace(/0$/, "1"), attachable: true },
    ]);
    const together = await only(await driverOf(xrtCard({ sharedGroup: true })));
    expect(together.deployable.handles).toMatchObject([
      { attachable: false, reason: "GROUP_NOT_VIABLE" },
    ]);
  });

  test("without xbmgmt fail with its name", async () => {
    const driver = await driverOf(xrtCard(), { without: ["xbmgmt"] });
    const program = driver.program(await only(driver), image, recordedWork());
    await expect(program).rejects.toThrow("xbmgmt is not installed");
  });

  test("with no user function are a problem", async () => {
    const card = xrtCard();
    const user = `${devices}/${firstPf.replace(/0$/, "1")}`;
    const exists = async (path: string) => path !== user && card.kernel.exists(path);
    const port = { ...card.kernel, exists };
    const driver = cardsDriver({ hostId, port, pr: { ...card.kernel } });
    expect((await driver.discover()).problems[0]?.reason).toMatch(/user PF is missing/);
  });
});
