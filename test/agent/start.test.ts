import { afterEach, expect, test } from "vitest";
import { claimOf, makeWorld, type World } from "./support/world.ts";

let world: World;
afterEach(() => world.close());

const target = { hypervisor: "libvirt", domain: "guest" } as const;

test("an agent says hello, sends its inventory, reports, programs, plugs and gives back clean", async () => {
  world = await makeWorld();
  const { cloud, time, port0, kernel } = world;
  await world.start();
  await time.until(() => world.report()?.phase === "idle", "first report");
  expect(cloud.inventory.map(({ deployables }) => deployables.length)).toEqual([2]);
  expect(world.report()?.handles["vf0"]).toMatchObject({ state: "unplugged", clean: false });

  cloud.wish({
    deployable: port0,
    revision: 1,
    imageGeneration: 1,
    scrub: "erase",
    handles: { vf0: { fence: 0, plugged: false, clean: true } },
  });
  await time.until(() => world.report()?.phase === "ready", "scrubbed");
  expect(world.report()).toMatchObject({ clean: true, handles: { vf0: { clean: true } } });

  const image = world.image("aes");
  const claim = claimOf("one");
  cloud.wish({
    deployable: port0,
    revision: 2,
    imageGeneration: 2,
    image,
    handles: { vf0: { fence: 1, claim, plugged: true, target } },
  });
  await time.until(() => world.report()?.handles["vf0"]?.state === "plugged", "plugged");
  await time.until(() => world.report()?.phase === "ready", "ready");
  expect(world.report()).toMatchObject({
    imageGeneration: 2,
    clean: false,
    loaded: { functionId: image.functionId, sha256: image.sha256, imageId: image.id },
    handles: { vf0: { fence: 1, clean: false, attachment: { xml: "<hostdev/>" } } },
  });

  cloud.wish({
    deployable: port0,
    revision: 3,
    imageGeneration: 3,
    scrub: "erase",
    handles: { vf0: { fence: 2, plugged: false, clean: true } },
  });
  await time.until(
    () => world.report()?.imageGeneration === 3 && world.report()?.phase === "ready",
    "released",
  );
  expect(world.report()).toMatchObject({
    clean: true,
    loaded: { functionId: null },
    handles: { vf0: { fence: 2, state: "unplugged", clean: true } },
  });
  expect([...(cloud.receipts.get(port0)?.values() ?? [])].map(({ body }) => body.kind)).toEqual([
    "scrub",
    "program",
    "scrub",
  ]);
  expect(cloud.violations).toEqual([]);
  expect(kernel.snapshot().functions.find(({ role }) => role === "vf")?.driver).toBe("dfl-pci");
  expect(JSON.stringify(world.logs)).not.toContain("secret");
});
