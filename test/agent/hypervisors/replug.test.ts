import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { qemu } from "../../../agent/hypervisors/qemu.ts";
import { claimOf, makeWorld, type World } from "../support/world.ts";
import { FakeQemu } from "./fake-qemu.ts";

let world: World;
let guest: FakeQemu;
afterEach(async () => {
  await guest.stop();
  await world.close();
});

const target = { hypervisor: "qemu", domain: "guest" } as const;
const handles = { vf0: { fence: 1, claim: claimOf("one"), plugged: true, target } };

test("the developer's loop takes the device out of a running QEMU, programs, and plugs it again", async () => {
  world = await makeWorld();
  guest = new FakeQemu(join(world.stateDir, "guest.sock"));
  const history: string[] = [];
  const { kernel } = world;
  const groupOf = () =>
    `/dev/vfio/${world.cloud.inventory[0]?.deployables[0]?.handles[0]?.iommuGroup}`;
  const loaded = () => kernel.snapshot().cards[0]?.regions[0]?.loaded;
  guest.onChange = async () => {
    const isIn = guest.devices.size > 0;
    history.push(`${isIn ? "plugged" : "unplugged"} with ${loaded()}`);
    if (isIn) await kernel.open(groupOf(), { pid: 4711, command: "qemu" });
    else await kernel.close(groupOf(), 4711);
  };
  await guest.start();
  await world.start({ hypervisors: [qemu({ directory: world.stateDir })] });
  await world.time.until(() => world.report()?.epoch === world.cloud.epoch, "first report");
  const aes = world.image("aes");
  const sha = world.image("sha");
  const wish = { deployable: world.port0, handles };
  world.cloud.wish({ ...wish, revision: 1, imageGeneration: 1, image: aes });
  const isPlugged = () => world.report()?.handles["vf0"]?.state === "plugged";
  await world.time.until(isPlugged, "plugged");
  world.cloud.wish({ ...wish, revision: 2, imageGeneration: 2, image: sha, replug: true });
  const isReady = () => world.report()?.imageGeneration === 2 && world.report()?.phase === "ready";
  await world.time.until(() => isReady() && isPlugged(), "programmed and plugged again");
  expect(history).toEqual([
    `plugged with ${aes.functionId}`,
    `unplugged with ${aes.functionId}`,
    `plugged with ${sha.functionId}`,
  ]);
  expect(world.report()?.handles["vf0"]?.attachment).toMatchObject({
    hypervisor: "qemu",
    bus: "hp0",
    device: [...guest.devices.keys()][0],
  });
});
