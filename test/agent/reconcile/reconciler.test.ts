import { afterEach, expect, test } from "vitest";
import { deployableId, uuidOf } from "#protocol/uuid";
import { blankFunction, dflCard, sriovCard } from "../../../agent/host/memory-kernel/cards.ts";
import { recordingDriver } from "../support/recording-driver.ts";
import type { CloudWish } from "../support/scripted-cloud.ts";
import { bootIds, claimOf, makeWorld, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

const target = { hypervisor: "libvirt", domain: "guest" } as const;
const claimed = { vf0: { fence: 1, claim: claimOf("one"), plugged: false } };
const guest = { vf0: { fence: 1, claim: claimOf("one"), plugged: true, target } };

function wish(changes: Partial<CloudWish> = {}): CloudWish {
  const image = world.image("aes");
  return {
    deployable: world.port0,
    revision: 1,
    imageGeneration: 1,
    image,
    handles: claimed,
    ...changes,
  };
}
const scrub = (changes: Partial<CloudWish> = {}): CloudWish => ({
  deployable: world.port0,
  revision: 1,
  imageGeneration: 1,
  scrub: "erase",
  handles: { vf0: { fence: 0, plugged: false, clean: true } },
  ...changes,
});

async function begin(changes: Parameters<World["start"]>[0] = {}) {
  const agent = await world.start(changes);
  await world.time.until(() => world.report()?.epoch === world.cloud.epoch, "first report");
  return agent;
}
const phase = (generation: number, name: string, deployable?: string) => () =>
  world.report(deployable)?.phase === name &&
  world.report(deployable)?.imageGeneration === generation;
const programs = (): string[] =>
  [...(world.cloud.receipts.get(world.port0)?.values() ?? [])].flatMap(({ body }) =>
    body.kind === "program" ? [body.sha256 ?? ""] : [],
  );
const firstHandle = () => {
  const handle = world.cloud.inventory[0]?.deployables[0]?.handles[0];
  if (handle === undefined) throw new Error("no handle");
  return handle;
};
const cardId = () => world.cloud.inventory[0]?.cardId ?? "";
const loadedNow = () => world.kernel.snapshot().cards[0]?.regions[0]?.loaded;

test("one failed program is tried again, two end the generation until the next one", async () => {
  world = await makeWorld();
  await begin();
  await world.kernel.failNext(cardId(), "port0", "crc", 1);
  world.cloud.wish(wish());
  await world.time.until(phase(1, "ready"), "second try");
  await world.kernel.failNext(cardId(), "port0", "crc", 2);
  world.cloud.wish(wish({ revision: 2, imageGeneration: 2, image: world.image("sha") }));
  await world.time.until(phase(2, "failed"), "given up");
  expect(world.report()?.error?.code).toBe("PROGRAM_FAILED");
  await world.time.advance(120_000);
  await world.time.settle();
  expect(phase(2, "failed")()).toBe(true);
  world.cloud.wish(wish({ revision: 3, imageGeneration: 3, image: world.image("sha") }));
  await world.time.until(phase(3, "ready"), "the next generation");
  expect(world.report()?.error).toBeUndefined();
  expect(programs()).toHaveLength(2);
});

test("a card that says another id after the program is never called ready", async () => {
  world = await makeWorld();
  await begin();
  await world.kernel.failNext(cardId(), "port0", "wrong-read-back", 2);
  world.cloud.wish(wish({ handles: guest }));
  await world.time.until(phase(1, "failed"), "given up");
  expect(world.report()).toMatchObject({
    error: { code: "READ_BACK_MISMATCH" },
    handles: { vf0: { state: "unplugged" } },
  });
  expect(programs()).toEqual([]);
  expect(world.guests.calls).toEqual([]);
});

test("a card that says anything but blank after an erase is never called clean", async () => {
  world = await makeWorld();
  await begin();
  await world.kernel.failNext(cardId(), "port0", "wrong-read-back", 1);
  world.cloud.wish(scrub());
  await world.time.until(phase(1, "ready"), "erased by the second try");
  expect(loadedNow()).toBe(blankFunction);
  await world.kernel.failNext(cardId(), "port0", "wrong-read-back", 2);
  world.cloud.wish(scrub({ revision: 2, imageGeneration: 2 }));
  await world.time.until(phase(2, "failed"), "given up");
  expect(world.report()).toMatchObject({ clean: false, error: { code: "READ_BACK_MISMATCH" } });
  expect([...(world.cloud.receipts.get(world.port0)?.values() ?? [])]).toHaveLength(1);
});

test.each([
  ["DOWNLOAD_FAILED", "https://bucket.test/missing"],
  ["DOWNLOAD_FAILED", "https://elsewhere.test/aes"],
])("an image that cannot be had ends with %s and touches nothing", async (code, url) => {
  world = await makeWorld();
  await begin();
  world.cloud.wish(wish({ image: { ...world.image("aes"), url } }));
  await world.time.until(phase(1, "failed"), "given up", 200);
  expect(world.report()?.error?.code).toBe(code);
  expect(JSON.stringify(world.report())).not.toContain(url);
  expect(world.logs.filter(({ facts }) => JSON.stringify(facts).includes('"program"'))).toEqual([]);
});

test("an image for another shell is refused at once, before the card is touched", async () => {
  world = await makeWorld();
  await begin();
  const image = { ...world.image("aes"), interfaceId: uuidOf("other shell") };
  world.cloud.wish(wish({ image }));
  await world.time.until(phase(1, "failed"), "refused");
  expect(world.report()?.error?.code).toMatch(/^IMAGE_/);
  expect(loadedNow()).not.toBe(image.functionId);
});

test("a newer wish between download and program leaves the older image unprogrammed", async () => {
  world = await makeWorld();
  let swapped = false;
  await begin({
    failpoint: (name) => {
      if (name !== "step:verify:after" || swapped) return;
      swapped = true;
      world.cloud.wish(wish({ revision: 2, imageGeneration: 2, image: world.image("sha") }));
    },
  });
  world.cloud.wish(wish());
  await world.time.until(phase(2, "ready"), "the newer one");
  expect(programs()).toEqual([world.image("sha").sha256]);
});

test("a release that comes after the intent was written still stops the program", async () => {
  world = await makeWorld();
  let journals = 0;
  const touched: string[] = [];
  const driver = recordingDriver(world, {
    before: async (place) => {
      touched.push(place.deployable.region);
    },
    after: () => undefined,
  });
  await begin({
    driver,
    failpoint: async (name) => {
      if (name === "journal:after") journals += 1;
      if (name !== "journal:after" || journals !== 1) return;
      world.cloud.wish(
        scrub({
          revision: 2,
          imageGeneration: 2,
          handles: { vf0: { fence: 2, plugged: false, clean: true } },
        }),
      );
      await world.time.settle();
    },
  });
  world.cloud.wish(wish());
  await world.time.until(phase(2, "ready"), "released");
  expect(touched).toEqual([]);
  expect(world.report()).toMatchObject({ clean: true, loaded: { functionId: null } });
});

test("a wish that is known to be past is not worked on while the newer one is not heard", async () => {
  world = await makeWorld();
  let begun = 0;
  await begin({
    failpoint: (name) => {
      if (name !== "step:program:before") return;
      begun += 1;
      // A turn that asks for the next one at once would never let this test end.
      if (begun > 20) throw new Error("programs are begun again and again");
    },
  });
  await world.kernel.failNext(cardId(), "port0", "crc", 1);
  world.cloud.wish(wish());
  await world.time.until(() => begun === 1, "first try");
  world.cloud.wishes.clear();
  world.cloud.floors[world.port0] = { imageGeneration: 2, fences: { vf0: 2 } };
  world.cloud.sockets.at(-1)?.emit("close", 1006, Buffer.alloc(0));
  await world.time.until(() => world.report()?.handles["vf0"]?.fence === 2, "heard of the fence");
  await world.time.advance(60_000);
  await world.time.settle();
  expect(begun).toBe(1);
  expect(programs()).toEqual([]);
  world.cloud.wish(
    scrub({
      revision: 2,
      imageGeneration: 2,
      handles: { vf0: { fence: 2, plugged: false, clean: true } },
    }),
  );
  await world.time.until(phase(2, "ready"), "the newer one");
});

test("a fence raised before the plug keeps the handle out of the guest", async () => {
  world = await makeWorld();
  await begin({
    failpoint: async (name) => {
      if (name !== "step:plug:before") return;
      world.cloud.wish(wish({ revision: 2, handles: { vf0: { fence: 2, plugged: false } } }));
      await world.time.settle();
    },
  });
  world.cloud.wish(wish({ handles: guest }));
  await world.time.until(() => world.report()?.handles["vf0"]?.fence === 2, "fence seen");
  await world.time.until(phase(1, "ready"), "settled");
  expect(world.guests.calls.filter((call) => call.startsWith("plug"))).toEqual([]);
  const vf = world.kernel.snapshot().functions.find(({ role }) => role === "vf");
  await world.time.until(() => vf?.driver === "dfl-pci", "driver restored");
});

test("a program past its deadline makes the card stuck; nothing is touched until it ended", async () => {
  world = await makeWorld();
  await begin({ deadlines: { program: 30_000, scrub: 30_000 } });
  await world.kernel.failNext(cardId(), "port0", "hang", 1);
  world.cloud.wish(wish());
  await world.time.until(() => world.report()?.health.state === "stuck", "stuck", 500);
  expect(world.report()).toMatchObject({ phase: "failed", error: { code: "CARD_STUCK" } });
  world.cloud.wish(
    scrub({
      revision: 2,
      imageGeneration: 2,
      handles: { vf0: { fence: 2, plugged: false, clean: true } },
    }),
  );
  await world.time.advance(120_000);
  await world.time.settle();
  expect(world.report()?.health.state).toBe("stuck");
  await world.kernel.endHang(cardId(), "port0");
  await world.time.until(phase(2, "ready"), "recovered");
  expect(world.report()).toMatchObject({ clean: true, health: { state: "ok" } });
});

test("a stuck card stays stuck for an agent that starts again in the same boot", async () => {
  world = await makeWorld();
  const agent = await begin({ deadlines: { program: 30_000, scrub: 30_000 } });
  await world.kernel.failNext(cardId(), "port0", "hang", 1);
  world.cloud.wish(wish());
  await world.time.until(() => world.report()?.health.state === "stuck", "stuck", 500);
  await agent.stop();
  await world.start();
  await world.time.until(() => world.report()?.epoch === 2, "new session");
  expect(world.report()?.health.state).toBe("stuck");
});

test("a handle that a stranger holds keeps the scrub waiting, and it goes on by itself", async () => {
  world = await makeWorld();
  await begin();
  const { address: vf, iommuGroup: group } = firstHandle();
  await world.kernel.write(`/sys/bus/pci/devices/${vf}/driver_override`, "vfio-pci", 1000);
  await world.kernel.write("/sys/bus/pci/drivers/dfl-pci/unbind", vf, 1000);
  await world.kernel.write("/sys/bus/pci/drivers_probe", vf, 1000);
  await world.kernel.open(`/dev/vfio/${group}`, { pid: 99, command: "stranger" });
  world.cloud.wish(scrub());
  await world.time.until(() => world.report()?.error?.code === "IN_USE", "in use");
  expect(world.report()?.error?.message).toContain("stranger (99)");
  expect(world.report()?.handles["vf0"]?.state).toBe("plugged");
  await world.kernel.close(`/dev/vfio/${group}`, 99);
  await world.time.until(phase(1, "ready"), "scrubbed");
  expect(world.report()?.handles["vf0"]).toMatchObject({ state: "unplugged", clean: true });
});

test("a plug that fails twice is told on the handle; a changed wish tries again", async () => {
  world = await makeWorld();
  await begin();
  world.guests.failures.push(new Error("no"), new Error("no"));
  world.cloud.wish(wish({ handles: guest }));
  await world.time.until(() => world.report()?.handles["vf0"]?.error !== undefined, "told");
  await world.time.advance(120_000);
  await world.time.settle();
  expect(world.guests.calls).toEqual(["plug vf0", "plug vf0"]);
  expect(world.report()).toMatchObject({
    phase: "ready",
    handles: { vf0: { state: "unplugged" } },
  });
  const other = { vf0: { ...guest.vf0, target: { ...target, domain: "second" } } };
  world.cloud.wish(wish({ revision: 2, handles: other }));
  await world.time.until(() => world.report()?.handles["vf0"]?.state === "plugged", "plugged");
  expect(world.report()?.handles["vf0"]?.error).toBeUndefined();
});

test("an unplug is tried until it works, and the handle counts as plugged until then", async () => {
  world = await makeWorld();
  await begin();
  world.cloud.wish(wish({ handles: guest }));
  await world.time.until(() => world.report()?.handles["vf0"]?.state === "plugged", "plugged");
  world.guests.failures.push(...Array.from({ length: 5 }, () => new Error("guest is deaf")));
  world.cloud.wish(
    scrub({
      revision: 2,
      imageGeneration: 2,
      handles: { vf0: { fence: 2, plugged: false, clean: true } },
    }),
  );
  await world.time.until(() => world.report()?.handles["vf0"]?.error !== undefined, "told");
  expect(world.report()?.handles["vf0"]).toMatchObject({ state: "plugged", clean: false });
  await world.time.until(phase(2, "ready"), "unplugged in the end", 200);
  expect(world.report()).toMatchObject({ clean: true, handles: { vf0: { clean: true } } });
});

test("a replug takes the guest's handle only for the program and hands it back", async () => {
  world = await makeWorld();
  await begin();
  world.cloud.wish(wish({ handles: guest }));
  await world.time.until(() => world.report()?.handles["vf0"]?.state === "plugged", "plugged");
  const again = { revision: 2, imageGeneration: 2, image: world.image("sha"), handles: guest };
  world.cloud.wish(wish(again));
  await world.time.until(() => world.report()?.error?.code === "IN_USE", "refused without replug");
  expect(world.guests.calls).toEqual(["plug vf0"]);
  world.cloud.wish(wish({ ...again, revision: 3, replug: true }));
  await world.time.until(phase(2, "ready"), "programmed");
  await world.time.until(
    () => world.report()?.handles["vf0"]?.state === "plugged",
    "plugged again",
  );
  expect(world.guests.calls).toEqual(["plug vf0", "unplug vf0", "plug vf0"]);
});

test("a handle is cleaned by itself while its neighbour stays in its guest", async () => {
  world = await makeWorld([sriovCard(0)]);
  const driver = await world.start();
  await world.time.until(() => world.cloud.inventory.length === 1, "inventory");
  const card = deployableId(world.hostId, cardId(), "card");
  const other = { fence: 1, claim: claimOf("two"), plugged: true, target };
  const base = { deployable: card, imageGeneration: 0 };
  world.cloud.wish({ ...base, revision: 1, handles: { vf0: guest.vf0, vf1: other } });
  const told = () => world.report(card)?.handles;
  await world.time.until(() => told()?.["vf1"]?.state === "plugged", "both plugged");
  const free = { fence: 2, plugged: false, clean: true };
  world.cloud.wish({ ...base, revision: 2, handles: { vf0: free, vf1: other } });
  await world.time.until(() => told()?.["vf0"]?.clean === true, "cleaned");
  expect(told()).toMatchObject({
    vf0: { state: "unplugged", fence: 2 },
    vf1: { state: "plugged" },
  });
  expect(world.guests.calls).toEqual(["plug vf0", "plug vf1", "unplug vf0"]);
  expect(driver.status().deployables).toHaveLength(1);
});

test("after a reboot nothing counts as clean, and a claimed image is loaded again", async () => {
  world = await makeWorld();
  const agent = await begin();
  world.cloud.wish(scrub());
  await world.time.until(phase(1, "ready"), "scrubbed");
  world.cloud.wish(wish({ revision: 2, imageGeneration: 2, handles: guest }));
  await world.time.until(() => world.report()?.handles["vf0"]?.state === "plugged", "plugged");
  await agent.stop();
  await world.kernel.reboot(bootIds[1]);
  world.guests.forget();
  await world.start();
  await world.time.until(() => world.report()?.bootId === bootIds[1], "new boot");
  await world.time.until(phase(2, "ready"), "loaded again");
  await world.time.until(
    () => world.report()?.handles["vf0"]?.state === "plugged",
    "plugged again",
  );
  expect(loadedNow()).toBe(world.image("aes").functionId);
  expect(programs()).toHaveLength(2);
  expect(world.report()).toMatchObject({ clean: false, imageGeneration: 2 });
});

test("a scrubbed card is not clean any more after a reboot", async () => {
  world = await makeWorld();
  const agent = await begin();
  world.cloud.wish(scrub());
  await world.time.until(() => world.report()?.clean === true, "clean");
  await agent.stop();
  await world.kernel.reboot(bootIds[1]);
  await world.start();
  await world.time.until(() => world.report()?.bootId === bootIds[1], "new boot");
  expect(world.report()).toMatchObject({ clean: false, handles: { vf0: { clean: false } } });
});

test("what changes on the card without an operation voids its proof for good", async () => {
  world = await makeWorld();
  await begin();
  world.cloud.wish(scrub());
  await world.time.until(() => world.report()?.clean === true, "clean");
  const load = async (functionId: string) => {
    const fme = (await world.kernel.list("/dev")).find((name) => name.startsWith("dfl-fme"));
    await world.kernel.programPort(
      `/dev/${fme}`,
      0,
      { bytes: Buffer.alloc(4), functionId },
      () => undefined,
    );
  };
  await load(uuidOf("behind our back"));
  await world.time.until(() => world.report()?.clean === false, "void");
  await load(blankFunction);
  await world.time.until(() => world.report()?.loaded.functionId === null, "blank again");
  expect(world.report()?.clean).toBe(false);
});

test("two cards are programmed at the same time, two regions of one card one after the other", async () => {
  world = await makeWorld([dflCard(0), dflCard(1)]);
  const running = new Set<string>();
  const together = new Set<string>();
  const gates: (() => void)[] = [];
  const driver = recordingDriver(world, {
    before: async (place) => {
      running.add(`${place.device.cardId} ${place.deployable.region}`);
      together.add([...running].sort().join(" + "));
      await new Promise<void>((resolve) => gates.push(resolve));
    },
    after: (place) => {
      running.delete(`${place.device.cardId} ${place.deployable.region}`);
    },
  });
  await begin({ driver });
  await world.time.until(() => world.cloud.inventory.length === 2, "inventory");
  const ids = world.cloud.inventory.flatMap(({ deployables }) => deployables.map(({ id }) => id));
  for (const deployable of ids) world.cloud.wish(wish({ deployable, handles: {} }));
  await world.time.until(() => gates.length === 2, "one of each card");
  expect(new Set([...running].map((name) => name.split(" ")[0])).size).toBe(2);
  await world.time.until(() => {
    for (const open of gates.splice(0)) open();
    return ids.every((id) => phase(1, "ready", id)());
  }, "all four");
  const sameCard = [...together].filter((names) => {
    const cards = names.split(" + ").map((name) => name.split(" ")[0]);
    return new Set(cards).size < cards.length;
  });
  expect(sameCard).toEqual([]);
});

test("a wish for a deployable this host does not have is told as gone", async () => {
  world = await makeWorld();
  await begin();
  const deployable = uuidOf("nowhere");
  world.cloud.wish(wish({ deployable }));
  await world.time.until(() => world.report(deployable) !== undefined, "told");
  expect(world.report(deployable)).toMatchObject({
    health: { state: "gone" },
    error: { code: "CARD_GONE" },
    handles: {},
  });
});

test("receipts are chained and prove digest, generation, fences and boot", async () => {
  world = await makeWorld();
  await begin();
  world.cloud.wish(wish({ scrub: "erase" }));
  await world.time.until(phase(1, "ready"), "ready");
  await world.time.until(() => world.cloud.receipts.get(world.port0)?.size === 2, "both");
  const [first, second] = [...(world.cloud.receipts.get(world.port0)?.values() ?? [])];
  expect(first?.body).toMatchObject({
    number: 1,
    previous: "0".repeat(64),
    kind: "scrub",
    functionId: null,
  });
  expect(second?.body).toMatchObject({
    number: 2,
    kind: "program",
    imageGeneration: 1,
    sha256: world.image("aes").sha256,
    functionId: world.image("aes").functionId,
    fences: { vf0: 1 },
    bootId: bootIds[0],
  });
  expect(world.report()?.clean).toBe(true);
});
