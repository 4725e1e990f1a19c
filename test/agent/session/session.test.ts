import { afterEach, expect, test } from "vitest";
import type { Report } from "#protocol/wire/messages";
import type { CloudWish } from "../support/scripted-cloud.ts";
import { claimOf, makeWorld, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

const connected = async () => {
  await world.time.until(() => world.report() !== undefined, "first report");
  await world.time.until(() => pings().length > 0, "first ping");
};
const pings = () => world.cloud.heard.filter(({ type }) => type === "ping");
const reportsHeard = () => world.cloud.heard.filter((one): one is Report => one.type === "report");
const socket = () => {
  const found = world.cloud.sockets.findLast(({ open }) => open);
  if (found === undefined) throw new Error("no open socket");
  return found;
};

const programWish = (changes: Partial<CloudWish> = {}): CloudWish => ({
  deployable: world.port0,
  revision: 1,
  imageGeneration: 1,
  image: world.image("aes"),
  handles: { vf0: { fence: 1, claim: claimOf("one"), plugged: false } },
  ...changes,
});
const ready = (generation: number) => () =>
  world.report()?.phase === "ready" && world.report()?.imageGeneration === generation;

test("hello carries no marks on the first start and the kept ones on the next", async () => {
  world = await makeWorld();
  const agent = await world.start();
  await connected();
  expect(world.cloud.hellos[0]).toMatchObject({ host: world.hostId, protocol: 1 });
  expect(world.cloud.hellos[0]?.marks).toBeUndefined();
  world.cloud.wish(programWish());
  await world.time.until(ready(1), "programmed");
  await agent.stop();
  await world.start();
  await world.time.until(() => world.cloud.hellos.length === 2, "second hello");
  expect(world.cloud.hellos[1]?.marks?.[world.port0]).toEqual({
    imageGeneration: 1,
    fences: { vf0: 1 },
  });
});

test("the inventory is sent when the cloud wants it and when the host changed, never else", async () => {
  world = await makeWorld();
  const agent = await world.start();
  await connected();
  const sent = () => world.cloud.heard.filter(({ type }) => type === "inventory").length;
  expect(sent()).toBe(1);
  world.cloud.wish(programWish());
  await world.time.until(ready(1), "programmed");
  await world.time.advance(60_000);
  expect(sent()).toBe(1);
  await agent.stop();
  await world.start();
  await world.time.until(() => world.report()?.epoch === 2, "reported again");
  expect(sent()).toBe(1);
  const cardId = world.cloud.inventory[0]?.cardId ?? "";
  await world.kernel.setPresent(cardId, false);
  await world.time.until(() => world.report()?.health.state === "gone", "gone");
  await world.time.until(() => sent() === 2, "inventory without the card");
  expect(world.cloud.inventory).toEqual([]);
  await world.kernel.setPresent(cardId, true);
  await world.time.until(() => world.report()?.health.state === "ok", "back");
});

test("an inventory that was lost on its way is sent again, and not while it may be on its way", async () => {
  world = await makeWorld();
  world.cloud.mishaps.inventoriesLost = true;
  await world.start();
  await connected();
  const sent = () => world.cloud.heard.filter(({ type }) => type === "inventory").length;
  const pings = () => world.cloud.heard.filter(({ type }) => type === "ping").length;
  await world.time.until(() => pings() === 1, "the first ping");
  expect(sent()).toBe(1);
  world.cloud.mishaps.inventoriesLost = false;
  await world.time.until(() => world.cloud.inventory.length > 0, "the inventory is there");
  expect(sent()).toBe(2);
  await world.time.advance(120_000);
  expect(sent()).toBe(2);
});

test("an unacknowledged report is sent again, and a lost ack costs nothing but that", async () => {
  world = await makeWorld();
  world.cloud.mishaps.acksLost = true;
  await world.start();
  await connected();
  const first = reportsHeard().length;
  await world.time.advance(65_000);
  await world.time.settle();
  expect(reportsHeard().length).toBeGreaterThan(first);
  world.cloud.mishaps.acksLost = false;
  await world.time.advance(65_000);
  await world.time.settle();
  const acked = reportsHeard().length;
  await world.time.advance(300_000);
  await world.time.settle();
  expect(reportsHeard().length).toBe(acked);
});

test("receipts ride until they are acknowledged, once each, also with doubled acks", async () => {
  world = await makeWorld();
  world.cloud.mishaps.acksLost = true;
  await world.start();
  await connected();
  world.cloud.wish(programWish({ scrub: "erase" }));
  await world.time.until(ready(1), "programmed");
  expect(world.cloud.receipts.get(world.port0)?.size).toBe(1);
  world.cloud.mishaps.acksLost = false;
  world.cloud.mishaps.acksDoubled = true;
  await world.time.until(
    () => world.cloud.receipts.get(world.port0)?.size === 2,
    "both receipts",
    500,
  );
  expect(world.cloud.violations).toEqual([]);
});

test("an ack of an older epoch is not taken for one of this session", async () => {
  world = await makeWorld();
  world.cloud.mishaps.acksLost = true;
  const agent = await world.start();
  await connected();
  const report = world.report();
  const ack = { type: "ack", deployable: world.port0, seq: report?.seq ?? 0 } as const;
  socket().serverLine.send({ ...ack, epoch: (report?.epoch ?? 1) - 1 });
  await world.time.settle();
  expect(agent.status().cloud.unacknowledged).toBe(2);
  socket().serverLine.send({ ...ack, epoch: report?.epoch ?? 0 });
  await world.time.settle();
  expect(agent.status().cloud.unacknowledged).toBe(1);
});

test("malformed, unknown, oversized and early messages are answered or ignored, never fatal", async () => {
  world = await makeWorld();
  await world.start();
  await connected();
  const line = socket().serverLine;
  line.send("{");
  line.send('{"type":"reboot"}');
  line.send(JSON.stringify({ type: "desired", deployable: world.port0 }));
  line.send(JSON.stringify({ type: "desired", padding: "x".repeat(33 * 1024) }));
  line.send({ type: "error", error: { code: "INVALID_MESSAGE", message: "no" } });
  await world.time.settle();
  const answers = world.cloud.strange.map((text) => JSON.parse(text) as Record<string, unknown>);
  expect(answers).toMatchObject([
    { type: "error", error: { code: "INVALID_MESSAGE" } },
    { type: "error", about: "reboot", error: { code: "UNKNOWN_MESSAGE" } },
    { type: "error", about: "desired", error: { code: "INVALID_MESSAGE", field: "revision" } },
    { type: "error", error: { code: "MESSAGE_TOO_LARGE" } },
  ]);
  world.cloud.wish(programWish());
  await world.time.until(ready(1), "still working");
});

test("what comes before the welcome is not acted on", async () => {
  world = await makeWorld();
  const old = programWish({ imageGeneration: 1 });
  world.cloud.floors[world.port0] = { imageGeneration: 5, fences: { vf0: 7 } };
  world.cloud.early.push({ ...old, type: "desired" }, { type: "drain" });
  world.cloud.early.push({ type: "pong", serverTime: 1, stale: [] });
  await world.start();
  await connected();
  expect(world.logs.filter(({ event }) => event === "message-before-welcome")).toHaveLength(3);
  expect(world.report()).toMatchObject({ imageGeneration: 5, revision: 0, phase: "idle" });
  world.cloud.wish(
    programWish({ imageGeneration: 6, handles: { vf0: { fence: 8, plugged: false } } }),
  );
  await world.time.until(ready(6), "the wish after it");
});

test("a wish of an older fence or generation is refused and the newer one stays", async () => {
  world = await makeWorld();
  await world.start();
  await connected();
  world.cloud.wish(programWish({ revision: 5, imageGeneration: 3 }));
  await world.time.until(ready(3), "programmed");
  const line = socket().serverLine;
  const { functionId } = world.image("sha");
  const old = programWish({ revision: 9, image: world.image("sha") });
  line.send({ ...old, type: "desired", imageGeneration: 2 });
  await world.time.until(() => world.report()?.error?.code === "STALE_FENCE", "refused");
  const claim = claimOf("old");
  const handles = { vf0: { fence: 0, claim, plugged: false } };
  line.send({ ...old, type: "desired", imageGeneration: 3, handles });
  await world.time.until(
    () => world.report()?.error?.message.startsWith("fence 0") === true,
    "fence refused",
  );
  expect(world.report()).toMatchObject({ imageGeneration: 3, handles: { vf0: { fence: 1 } } });
  expect(world.report()?.loaded.functionId).not.toBe(functionId);
});

test("among equal counters a late wish of an older revision does not undo the newer one", async () => {
  world = await makeWorld();
  await world.start();
  await connected();
  const target = { hypervisor: "libvirt", domain: "guest" } as const;
  const plugged = { vf0: { fence: 1, claim: claimOf("one"), plugged: true, target } };
  world.cloud.wish(programWish({ revision: 2, handles: plugged }));
  await world.time.until(() => world.report()?.handles["vf0"]?.state === "plugged", "plugged");
  socket().serverLine.send({ ...programWish({ revision: 1 }), type: "desired" });
  await world.time.advance(10_000);
  await world.time.settle();
  expect(world.report()?.handles["vf0"]?.state).toBe("plugged");
});

test("a wish whose push was lost comes with the next ping", async () => {
  world = await makeWorld();
  await world.start();
  await connected();
  world.cloud.line = undefined;
  world.cloud.wish(programWish());
  await world.time.until(ready(1), "programmed after a ping", 500);
});

test("a socket without a pong is dead after 20 s and replaced", async () => {
  world = await makeWorld();
  await world.start();
  await connected();
  world.cloud.mishaps.mute = true;
  await world.time.until(() => world.cloud.sockets.some(({ open }) => !open), "given up", 500);
  world.cloud.mishaps.mute = false;
  await world.time.until(() => (world.report()?.epoch ?? 0) > 1, "back");
});

test.each([
  [0, 100],
  [0.5, 107.5],
  [0.999, 114.985],
])("the planned reconnect with random %f is due after %f min", async (random, minutes) => {
  world = await makeWorld();
  const slept: number[] = [];
  await world.start({
    random: () => random,
    sleep: (ms, signal) => {
      slept.push(ms);
      return world.time.sleep(ms, signal);
    },
  });
  await connected();
  expect(slept.map((ms) => ms / 60_000)).toContainEqual(expect.closeTo(minutes, 3));
});

test("the planned reconnect opens the new socket before it closes the old", async () => {
  world = await makeWorld();
  await world.start({ random: () => 0.5 });
  await connected();
  await world.time.advance(107 * 60_000);
  expect(world.cloud.epoch).toBe(1);
  await world.time.until(() => world.report()?.epoch === 2, "the second session", 1000);
  expect(world.cloud.openAtHello).toEqual([1, 2]);
  expect(world.cloud.sockets.map(({ open }) => open)).toEqual([false, true]);
});

test("a superseded session does not come back within 60 s", async () => {
  world = await makeWorld();
  await world.start();
  await connected();
  socket().end(4409);
  await world.time.advance(59_000);
  await world.time.settle();
  expect(world.cloud.sockets).toHaveLength(1);
  await world.time.until(() => world.cloud.sockets.length === 2, "back later", 500);
});

test("a lost socket comes back within the window that the welcome asked for", async () => {
  world = await makeWorld();
  world.cloud.reconnectMs = 30_000;
  await world.start({ random: () => 0.5 });
  await connected();
  socket().end(1006);
  await world.time.advance(14_900);
  await world.time.settle();
  expect(world.cloud.sockets).toHaveLength(1);
  await world.time.until(() => world.cloud.epoch === 2, "back in the middle of the window");
});

test.each(["HOST_REVOKED", "HOST_IDENTITY_CONFLICT", "UNSUPPORTED_PROTOCOL"])(
  "a refusal with %s is not repeated at once",
  async (code) => {
    world = await makeWorld();
    await world.start();
    await connected();
    socket().serverLine.send({ type: "error", error: { code, message: "no" } });
    await world.time.settle();
    expect(socketCount()).toEqual({ all: 1, open: 0 });
    await world.time.advance(59_000);
    expect(socketCount()).toEqual({ all: 1, open: 0 });
  },
);

const socketCount = () => ({
  all: world.cloud.sockets.length,
  open: world.cloud.sockets.filter(({ open }) => open).length,
});

test.each([3_600_000, -3_600_000])(
  "a host clock off by %i ms is set right by the 401",
  async (off) => {
    world = await makeWorld();
    world.time.wallBase += off;
    await world.start();
    await connected();
    expect(world.logs.filter(({ event }) => event === "connect-failed")).toHaveLength(1);
  },
);

test.each([3_600_000, -3_600_000])("a host clock that jumps %i ms breaks nothing", async (jump) => {
  world = await makeWorld();
  await world.start();
  await connected();
  world.time.wallBase += jump;
  await world.time.advance(120_000);
  expect(socketCount()).toEqual({ all: 1, open: 1 });
  socket().end(1006);
  await world.time.until(() => world.cloud.epoch === 2, "reconnected");
  expect(world.logs.filter(({ event }) => event === "connect-failed")).toHaveLength(0);
  world.cloud.wish(programWish());
  await world.time.until(ready(1), "programmed");
});

test("a program that ends while the cloud is away is told once when it is back", async () => {
  world = await makeWorld();
  await world.start({
    failpoint: (name) => {
      if (name !== "step:program:before") return;
      world.cloud.mishaps.away = true;
      for (const one of world.cloud.sockets) one.end(1006);
    },
  });
  await connected();
  world.cloud.wish(programWish());
  await world.time.until(() => world.cloud.mishaps.away, "cloud away");
  await world.time.advance(30_000);
  await world.time.settle();
  const loaded = world.kernel.snapshot().cards[0]?.regions[0]?.loaded;
  expect(loaded).toBe(world.image("aes").functionId);
  expect(ready(1)()).toBe(false);
  world.cloud.mishaps.away = false;
  await world.time.until(ready(1), "told", 500);
  await world.time.settle();
  const told = world.cloud.reports.filter(
    ({ phase, deployable }) => phase === "ready" && deployable === world.port0,
  );
  expect(told).toHaveLength(1);
  expect([...(world.cloud.receipts.get(world.port0)?.keys() ?? [])]).toEqual([1]);
  expect(world.cloud.violations).toEqual([]);
});

test("without sockets the same exchange runs as polls, and goes back to sockets later", async () => {
  world = await makeWorld();
  world.cloud.mishaps.socketsRefused = true;
  const agent = await world.start();
  await world.time.until(() => agent.status().cloud.by === "poll", "polling", 500);
  await connected();
  world.cloud.wish(programWish());
  await world.time.until(ready(1), "programmed by polls", 500);
  world.cloud.mishaps.socketsRefused = false;
  await world.time.advance(5 * 60_000);
  await world.time.until(() => agent.status().cloud.by === "socket", "a socket again", 500);
  await world.time.until(() => world.report()?.epoch === world.cloud.epoch, "reported again");
});

test.each([3_600_000, -3_600_000])(
  "a poll with the clock off by %i ms signs again too",
  async (off) => {
    world = await makeWorld();
    world.time.wallBase += off;
    world.cloud.mishaps.socketsRefused = true;
    const agent = await world.start();
    await world.time.until(() => agent.status().cloud.by === "poll", "polling", 500);
    await connected();
  },
);

test("polls that fail come back by themselves", async () => {
  world = await makeWorld();
  world.cloud.mishaps.socketsRefused = true;
  const agent = await world.start();
  await world.time.until(() => agent.status().cloud.connected, "polling", 500);
  world.cloud.mishaps.away = true;
  await world.time.until(() => !agent.status().cloud.connected, "lost", 500);
  world.cloud.mishaps.away = false;
  await world.time.until(() => agent.status().cloud.connected, "polling again", 500);
  await world.time.until(() => world.report()?.epoch === world.cloud.epoch, "reported", 500);
});

test("a drained host finishes what it has and serves no new claim", async () => {
  world = await makeWorld();
  await world.start();
  await connected();
  world.cloud.wish(programWish());
  await world.time.until(ready(1), "programmed");
  socket().serverLine.send({ type: "drain" });
  await world.time.settle();
  const handles = { vf0: { fence: 3, claim: claimOf("two"), plugged: false } };
  world.cloud.wish(programWish({ revision: 2, imageGeneration: 2, handles }));
  await world.time.until(() => world.report()?.error?.code === "WRONG_STATE", "refused");
  expect(world.report()?.imageGeneration).toBe(1);
  const free = { vf0: { fence: 4, plugged: false, clean: true } };
  world.cloud.wish({
    deployable: world.port0,
    revision: 3,
    imageGeneration: 3,
    scrub: "erase",
    handles: free,
  });
  await world.time.until(ready(3), "released all the same");
});

test("an agent without marks touches nothing until it is welcomed, and is lifted then", async () => {
  world = await makeWorld();
  world.cloud.floors[world.port0] = { imageGeneration: 7, fences: { vf0: 9 } };
  world.cloud.mishaps.away = true;
  const agent = await world.start();
  await world.time.advance(30_000);
  expect(agent.status().deployables).toMatchObject([{}, {}]);
  world.cloud.mishaps.away = false;
  await world.time.until(() => world.report()?.handles["vf0"]?.fence === 9, "lifted", 500);
  expect(world.report()).toMatchObject({ imageGeneration: 7, phase: "idle" });
  world.cloud.line?.send({ ...programWish(), type: "desired" });
  await world.time.until(() => world.report()?.error?.code === "STALE_FENCE", "refused", 500);
  expect(world.kernel.snapshot().cards[0]?.regions[0]?.loaded).not.toBe(
    world.image("aes").functionId,
  );
});
