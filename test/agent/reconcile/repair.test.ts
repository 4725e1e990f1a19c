import { afterEach, expect, test } from "vitest";
import { dflCard } from "../../../agent/host/memory-kernel/cards.ts";
import { makeWorld, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

/** A program by somebody else that fails: the port is held in reset (host.md §2.5). */
async function spoil(): Promise<void> {
  const { kernel } = world;
  const fme = (await kernel.list("/dev")).find((name) => name.startsWith("dfl-fme"));
  const [card] = kernel.snapshot().cards;
  await kernel.failNext(card?.id ?? "", "port0", "crc");
  const image = { bytes: Buffer.alloc(4), functionId: "11111111-1111-4111-8111-111111111111" };
  await kernel.programPort(`/dev/${fme}`, 0, image, () => undefined).catch(() => undefined);
}

const stuck = () => world.kernel.snapshot().cards[0]?.regions[0]?.stuck;
const attempts = () => world.logs.filter(({ event }) => event === "step-failed").length;

test("a free card that is held in reset is brought back by itself", async () => {
  world = await makeWorld([dflCard(0)]);
  await world.start();
  await world.time.until(() => world.report()?.health.state === "ok", "well");
  await spoil();
  expect(stuck()).toBe(true);
  await world.time.until(() => stuck() === false, "repaired");
  await world.time.until(() => world.report()?.health.state === "ok", "well again");
});

test("a repair that a full disk holds back is tried again when there is room", async () => {
  world = await makeWorld([dflCard(0)]);
  await world.start();
  await world.time.until(() => world.report()?.health.state === "ok", "well");
  world.disk.full = true;
  await spoil();
  await world.time.until(() => attempts() > 0, "a repair held back");
  expect(stuck()).toBe(true);
  world.disk.full = false;
  await world.time.until(() => world.report()?.health.state === "ok", "well again");
});

test("while a neighbour is in a guest nothing is touched, and it is not tried for ever", async () => {
  world = await makeWorld([dflCard(0)]);
  await world.start();
  await world.time.until(() => world.report()?.health.state === "ok", "well");
  const handle = world.kernel
    .snapshot()
    .functions.find(({ role, vf }) => role === "vf" && vf === 1);
  const address = handle?.address ?? "";
  await world.kernel.write(`/sys/bus/pci/devices/${address}/driver_override`, "vfio-pci", 1000);
  await world.kernel.write("/sys/bus/pci/drivers/dfl-pci/unbind", address, 1000);
  await world.kernel.write("/sys/bus/pci/drivers_probe", address, 1000);
  await spoil();
  await world.time.until(() => attempts() > 0, "a refused repair");
  await world.time.advance(60_000);
  expect(attempts()).toBe(1);
  expect(stuck()).toBe(true);
  expect(world.report()?.health.state).toBe("degraded");
});
