import { afterEach, expect, test } from "vitest";
import { deployableId } from "#protocol/uuid";
import { cardsDriver } from "../../agent/drivers/cards.ts";
import { sriovCard } from "../../agent/host/memory-kernel/cards.ts";
import { devices, firstPf } from "./kernels.ts";
import { type Extra, overlaid, shows } from "./support/overlay.ts";
import { claimOf, makeWorld, type World } from "./support/world.ts";

let world: World;
afterEach(() => world.close());

const target = { hypervisor: "libvirt", domain: "guest" } as const;
const gpu = { vendor: "acme", product: "a10", kind: "GPU", family: "pci" } as const;

/** An agent on a host with one display card that the operator has listed. */
async function start(): Promise<{ card: string; host: Record<string, Extra> }> {
  world = await makeWorld([sriovCard(0, { vendor: "abcd", device: "0001", bootVfs: 0 })]);
  const { kernel, hostId, time } = world;
  const path = `${devices}/${firstPf}`;
  const host: Record<string, Extra> = { [`${path}/class`]: shows(() => "0x030000") };
  const port = overlaid(kernel, async () => host);
  const driver = cardsDriver({
    hostId,
    port,
    pr: { ...kernel },
    sleep: time.sleep,
    cards: { "abcd:0001": { ...gpu, listed: true } },
  });
  await world.start({ kernel: port, driver });
  const card = deployableId(hostId, "pci0000:00-01.0-00", "card");
  await time.until(() => world.report(card)?.phase === "idle", "first report");
  return { card, host };
}

test("a listed display card goes whole to a guest and comes back to its driver", async () => {
  const { card } = await start();
  const { cloud, time, kernel } = world;
  expect(cloud.inventory).toMatchObject([{ kind: "GPU", driver: "pci", layout: "pf" }]);
  const driverNow = () => kernel.snapshot().functions.find(({ role }) => role === "pf")?.driver;

  cloud.wish({
    deployable: card,
    revision: 1,
    imageGeneration: 0,
    handles: { pf: { fence: 1, claim: claimOf("one"), plugged: true, target } },
  });
  await time.until(() => world.report(card)?.handles["pf"]?.state === "plugged", "plugged");
  expect(driverNow()).toBe("vfio-pci");

  cloud.wish({
    deployable: card,
    revision: 2,
    imageGeneration: 1,
    scrub: "reset",
    handles: { pf: { fence: 2, plugged: false, clean: true } },
  });
  await time.until(() => world.report(card)?.handles["pf"]?.clean === true, "given back");
  expect(driverNow()).toBe("sim-accel");
  expect(cloud.violations).toEqual([]);
});

test("one that a process of the host uses is neither plugged nor reset", async () => {
  const { card, host } = await start();
  const { cloud, time, kernel } = world;
  host[`${devices}/${firstPf}/boot_vga`] = shows(() => "1");
  cloud.wish({
    deployable: card,
    revision: 1,
    imageGeneration: 1,
    scrub: "reset",
    handles: { pf: { fence: 1, claim: claimOf("one"), plugged: true, target } },
  });
  await time.until(() => world.report(card)?.error !== undefined, "refused");
  expect(world.report(card)?.error?.code).toBe("IN_USE");
  expect(world.report(card)?.handles["pf"]?.state).toBe("unplugged");
  const pf = kernel.snapshot().functions.find(({ role }) => role === "pf");
  expect(pf?.driver).toBe("sim-accel");
});
