import { generateKeyPairSync } from "node:crypto";
import { stat } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { type Permit, signPermit } from "#protocol/permit";
import { uuidOf } from "#protocol/uuid";
import type { LocalRequest } from "../../agent/local-api.ts";
import { askAgent } from "../../agent/local-client.ts";
import { claimOf, makeWorld, type World } from "./support/world.ts";

let world: World;
afterEach(() => world.close());

const target = { hypervisor: "libvirt", domain: "guest" } as const;
const socketPath = () => join(world.stateDir, "agent.sock");
const begin = () => world.start({ localSocket: socketPath() });

/** Asks while time goes on, as a caller on the node sees it. */
async function ask(request: LocalRequest): Promise<unknown> {
  let over = false;
  const answer = askAgent(socketPath(), request).finally(() => {
    over = true;
  });
  answer.catch(() => undefined);
  await world.time.until(() => over, "an answer");
  return await answer;
}

async function permit(changes: Partial<Permit> = {}, key = world.signingKey): Promise<string> {
  const now = Date.UTC(2030, 0, 1) / 1000;
  const { id: claim, project } = claimOf("one");
  const body = { claim, project, host: world.hostId, deployable: world.port0, handle: "vf0" };
  return await signPermit({ ...body, fence: 1, exp: now + 3600, ...changes }, key);
}

/** A claimed and programmed card, and then no cloud. */
async function programmedAndAlone() {
  world = await makeWorld();
  const agent = await begin();
  world.cloud.wish({
    deployable: world.port0,
    revision: 1,
    imageGeneration: 1,
    image: world.image("aes"),
    handles: { vf0: { fence: 1, claim: claimOf("one"), plugged: false } },
  });
  await world.time.until(() => world.report()?.phase === "ready", "programmed");
  world.cloud.mishaps.away = true;
  for (const socket of world.cloud.sockets) socket.end(1006);
  return agent;
}

test("only the agent's own user may open the socket", async () => {
  world = await makeWorld();
  await begin();
  expect((await stat(socketPath())).mode & 0o777).toBe(0o600);
});

test("status shows the cards and how the cloud is reached", async () => {
  world = await makeWorld();
  await begin();
  await world.time.until(() => world.report()?.phase === "idle", "report");
  expect(await ask({ verb: "status" })).toMatchObject({
    host: world.hostId,
    cloud: { connected: true, by: "socket" },
    deployables: [{ phase: "idle" }, { phase: "idle" }],
  });
});

test("without an agent the answer says so", async () => {
  world = await makeWorld();
  await expect(askAgent(socketPath(), { verb: "status" })).rejects.toMatchObject({
    code: "HOST_OFFLINE",
  });
});

test("a permit plugs and unplugs while the cloud is away, and an agent that starts again keeps it", async () => {
  const agent = await programmedAndAlone();
  const text = await permit({ sha256: world.image("aes").sha256 });
  expect(await ask({ verb: "plug", permit: text, target })).toMatchObject({
    handle: "vf0",
    plugged: true,
    attachment: { xml: "<hostdev/>" },
  });
  expect(world.guests.calls).toEqual(["plug vf0"]);
  await agent.stop();
  await begin();
  await world.time.advance(10_000);
  await world.time.settle();
  expect(world.guests.calls).toEqual(["plug vf0"]);
  expect(await ask({ verb: "unplug", permit: text })).toMatchObject({ plugged: false });
  expect(world.guests.calls).toEqual(["plug vf0", "unplug vf0"]);
});

test("what a permit plugged stays when the cloud is back, until the claim ends", async () => {
  await programmedAndAlone();
  await ask({ verb: "plug", permit: await permit(), target });
  world.cloud.mishaps.away = false;
  await world.time.until(() => world.report()?.handles["vf0"]?.state === "plugged", "told", 200);
  await world.time.advance(120_000);
  await world.time.settle();
  expect(world.guests.calls).toEqual(["plug vf0"]);
  const wish = world.cloud.wishes.get(world.port0);
  if (wish === undefined) throw new Error("no wish");
  world.cloud.wish({ ...wish, revision: 2 });
  await world.time.advance(40_000);
  await world.time.settle();
  expect(world.guests.calls).toEqual(["plug vf0"]);
  const handles = { vf0: { fence: 2, plugged: false, clean: true } };
  world.cloud.wish({ ...wish, revision: 3, imageGeneration: 2, scrub: "erase", handles });
  await world.time.until(() => world.report()?.handles["vf0"]?.clean === true, "released", 200);
  expect(world.guests.calls).toEqual(["plug vf0", "unplug vf0"]);
});

test("a cloud that detaches what it attached wins over an older permit", async () => {
  await programmedAndAlone();
  await ask({ verb: "plug", permit: await permit(), target });
  world.cloud.mishaps.away = false;
  const wish = world.cloud.wishes.get(world.port0);
  const held = wish?.handles["vf0"];
  if (wish === undefined || held === undefined) throw new Error("no wish");
  world.cloud.wish({ ...wish, revision: 2, handles: { vf0: { ...held, plugged: true, target } } });
  await world.time.until(() => world.report()?.revision === 2, "attached", 200);
  world.cloud.wish({ ...wish, revision: 3, handles: { vf0: { ...held, plugged: false } } });
  await world.time.until(
    () => world.report()?.handles["vf0"]?.state === "unplugged",
    "detached",
    200,
  );
});

test.each<readonly [string, string, () => Promise<string>]>([
  ["another host", "PERMIT_INVALID", () => permit({ host: uuidOf("other") })],
  ["another deployable", "UNKNOWN_DEPLOYABLE", () => permit({ deployable: uuidOf("other") })],
  ["a handle that is not there", "CARD_GONE", () => permit({ handle: "vf9" })],
  ["an older fence", "STALE_FENCE", () => permit({ fence: 0 })],
  ["an image that is not loaded", "WRONG_STATE", () => permit({ sha256: "0".repeat(64) })],
  ["another signer", "PERMIT_INVALID", () => permit({}, generateKeyPairSync("ed25519").privateKey)],
  ["a time that is over", "PERMIT_INVALID", () => permit({ exp: Date.UTC(2029, 0, 1) / 1000 })],
  ["no permit at all", "PERMIT_INVALID", async () => "x"],
])("a permit for %s is refused with %s", async (_, code, make) => {
  await programmedAndAlone();
  const text = await make();
  await expect(ask({ verb: "plug", permit: text, target })).rejects.toMatchObject({ code });
  expect(world.guests.calls).toEqual([]);
});

test("a host clock set back does not lengthen the life of a permit", async () => {
  await programmedAndAlone();
  const text = await permit({ exp: Date.UTC(2030, 0, 1) / 1000 + 60 });
  await world.time.advance(120_000);
  world.time.wallBase -= 3_600_000;
  await expect(ask({ verb: "plug", permit: text, target })).rejects.toMatchObject({
    code: "PERMIT_INVALID",
  });
});

test("an agent without marks honours no permit until it was welcomed", async () => {
  world = await makeWorld();
  world.cloud.mishaps.away = true;
  await begin();
  await expect(ask({ verb: "plug", permit: await permit(), target })).rejects.toMatchObject({
    code: "PERMIT_INVALID",
  });
});

test("an agent that was given no permit key honours none", async () => {
  world = await makeWorld();
  await world.start({ localSocket: socketPath() }, ["permitKey"]);
  await expect(ask({ verb: "unplug", permit: await permit() })).rejects.toMatchObject({
    code: "PERMIT_INVALID",
    message: expect.stringContaining("no permit key"),
  });
});

test("a plug that fails is told to the caller", async () => {
  await programmedAndAlone();
  world.guests.failures.push(new Error("no"), new Error("no"));
  const text = await permit();
  await expect(ask({ verb: "plug", permit: text, target })).rejects.toThrow();
});

test.each(["{", '{"verb":"reboot"}', '{"verb":"plug"}'])(
  "%s is answered with INVALID_REQUEST",
  async (line) => {
    world = await makeWorld();
    await begin();
    expect(await raw(line)).toMatchObject({ ok: false, error: { code: "INVALID_REQUEST" } });
  },
);

test("a line that never ends is refused", async () => {
  world = await makeWorld();
  await begin();
  expect(await raw("x".repeat(20_000))).toMatchObject({ error: { code: "MESSAGE_TOO_LARGE" } });
});

function raw(line: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath(), () => socket.write(`${line}\n`));
    socket.on("data", (data) => {
      resolve(JSON.parse(data.toString()));
      socket.destroy();
    });
    socket.on("error", reject);
  });
}
