import { createHash, generateKeyPairSync, type KeyObject, randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { machineDigest, signAgentToken } from "#protocol/agent-token";
import type { DeployableView } from "#protocol/http/deployables";
import type { HostView } from "#protocol/http/hosts";
import { deployableId } from "#protocol/uuid";
import type { InventoryDevice } from "#protocol/wire/inventory";
import type { CloudMessage, Hello, Report, Welcome } from "#protocol/wire/messages";
import { chainStart, type ReceiptBody, receiptDigest, signReceipt } from "#protocol/wire/receipt";
import type { Api } from "../../localstack/hosts/api.ts";
import { until } from "../../localstack/tour/steps.ts";
import { type Offline, startOffline } from "./support.ts";

/** An agent that is only its wire: joined for real, and told by the test what to say. */
interface RawHost {
  readonly id: string;
  readonly name: string;
  readonly key: KeyObject;
  readonly machine: string;
  readonly bootId: string;
}

let offline: Offline;
let api: Api;
let host: RawHost;
const sockets: WebSocket[] = [];

beforeAll(async () => {
  offline = await startOffline();
  api = offline.as("default");
});

afterAll(async () => {
  for (const socket of sockets) socket.terminate();
  await offline.close();
});

beforeEach(async () => {
  host = await joined(`raw-${randomUUID().slice(0, 8)}`);
});

async function join(
  name: string,
  token: string,
  machine: string,
): Promise<Response & { key: KeyObject }> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const response = await fetch(`${offline.cloud.url}/agent/v1/join`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token, publicKey: pem, machine, nodeName: name }),
  });
  return Object.assign(response, { key: privateKey });
}

async function joined(name: string): Promise<RawHost> {
  const { joinToken } = await api<{ joinToken: string }>("POST", "/v1/hosts", { name });
  const machine = machineDigest(randomUUID(), randomUUID());
  const answer = await join(name, joinToken, machine);
  const { host: id } = (await answer.json()) as { host: string };
  return { id, name, key: answer.key, machine, bootId: randomUUID() };
}

/** One socket with everything it hears. */
class Line {
  readonly heard: CloudMessage[] = [];
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => {
      this.heard.push(JSON.parse(data.toString()) as CloudMessage);
    });
    this.closed = new Promise((resolve) => socket.once("close", resolve));
  }

  say(message: object | string): void {
    this.#socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  async hears<Type extends CloudMessage["type"]>(
    type: Type,
    fits: (message: Extract<CloudMessage, { type: Type }>) => boolean = () => true,
  ): Promise<Extract<CloudMessage, { type: Type }>> {
    return await until(`a ${type}`, async () => {
      const index = this.heard.findIndex(
        (one) => one.type === type && fits(one as Extract<CloudMessage, { type: Type }>),
      );
      if (index === -1) return undefined;
      const [found] = this.heard.splice(index, 1);
      return found as Extract<CloudMessage, { type: Type }>;
    });
  }
}

async function opened(token: string | undefined): Promise<Line | number> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const socket = new WebSocket(offline.cloud.socketUrl, { headers });
  sockets.push(socket);
  const line = new Line(socket);
  return await new Promise((resolve) => {
    socket.once("open", () => resolve(line));
    socket.once("unexpected-response", (_request, response) => resolve(response.statusCode ?? 0));
    socket.on("error", () => undefined);
  });
}

const tokenOf = async (of: RawHost, at = Date.now(), machine = of.machine): Promise<string> =>
  await signAgentToken({ host: of.id, machine, bootId: of.bootId }, of.key, at);

async function connected(of: RawHost): Promise<Line> {
  const line = await opened(await tokenOf(of));
  if (typeof line === "number") throw new Error(`refused with ${line}`);
  return line;
}

function hello(of: RawHost, more: Partial<Hello> = {}): Hello {
  return {
    type: "hello",
    host: of.id,
    agentVersion: "test",
    protocol: 1,
    bootId: of.bootId,
    capabilities: [],
    inventoryHash: "none",
    ...more,
  };
}

async function welcomed(line: Line, of: RawHost, more: Partial<Hello> = {}): Promise<Welcome> {
  line.say(hello(of, more));
  return await line.hears("welcome");
}

const cardId = "slot-1";
const region = "f10a0000-5eed-4a11-8000-00000000be9c";

function card(of: RawHost, id = cardId): InventoryDevice {
  return {
    cardId: id,
    kind: "FPGA",
    vendor: "intel",
    product: "pac",
    pciVendor: "8086",
    pciDevice: "0b2b",
    address: "0000:3b:00.0",
    driver: "test",
    layout: "whole",
    deployables: [
      {
        id: deployableId(of.id, id, "card"),
        region: "card",
        interfaceId: region,
        programmable: true,
        scrubMethod: "erase",
        sharing: "none",
        loaded: { functionId: null },
        health: { state: "ok" },
        handles: [{ name: "pf", type: "PF", address: "0000:3b:00.0", attachable: true }],
      },
    ],
  };
}

function inventory(epoch: number, devices: readonly InventoryDevice[], more: object = {}): object {
  return {
    type: "inventory",
    id: randomUUID(),
    epoch,
    part: 0,
    of: 1,
    hash: "h1",
    devices,
    ...more,
  };
}

function report(of: RawHost, epoch: number, seq: number, more: Partial<Report> = {}): Report {
  return {
    type: "report",
    deployable: deployableId(of.id, cardId, "card"),
    epoch,
    seq,
    bootId: of.bootId,
    imageGeneration: 1,
    revision: 1,
    phase: "ready",
    loaded: { functionId: null },
    health: { state: "ok" },
    clean: true,
    handles: { pf: { fence: 0, state: "unplugged", clean: true } },
    ...more,
  };
}

const viewOf = async (of: RawHost): Promise<DeployableView> =>
  await api<DeployableView>("GET", `/v1/deployables/${deployableId(of.id, cardId, "card")}`);

const hostOf = async (of: RawHost): Promise<HostView> =>
  await api<HostView>("GET", `/v1/hosts/${of.id}`);

/** A host whose card was found and proven clean. */
async function withCard(): Promise<{ line: Line; epoch: number }> {
  const line = await connected(host);
  const { epoch } = await welcomed(line, host);
  line.say(inventory(epoch, [card(host)]));
  await line.hears("ack");
  line.say(report(host, epoch, 1));
  await line.hears("ack", (ack) => ack.seq === 1);
  expect((await viewOf(host)).offered).toBe(true);
  return { line, epoch };
}

describe("who may open a socket", () => {
  test("nobody without a token, with an old one, or with another key", async () => {
    expect(await opened(undefined)).toBe(401);
    expect(await opened(await tokenOf(host, Date.now() - 120_000))).toBe(401);
    const other = generateKeyPairSync("ed25519").privateKey;
    expect(await opened(await tokenOf({ ...host, key: other }))).toBe(401);
    expect(await opened(await tokenOf({ ...host, id: randomUUID() }))).toBe(401);
  });

  test("a second machine with the same key makes both refused, with an alarm", async () => {
    await connected(host);
    expect(await opened(await tokenOf(host, Date.now(), machineDigest("other", "")))).toBe(403);
    expect(await opened(await tokenOf(host))).toBe(403);
    expect(await hostOf(host)).toMatchObject({
      revoked: true,
      alarm: expect.stringContaining("second machine") as string,
    });
  });

  test("a revoked host is cut off and stays out", async () => {
    const line = await connected(host);
    await welcomed(line, host);
    await api("POST", `/v1/hosts/${host.id}/revoke`);
    await line.closed;
    expect(await opened(await tokenOf(host))).toBe(403);
  });

  test("a token joins once, under its own name, and a name belongs to one host", async () => {
    const { joinToken } = await api<{ joinToken: string }>("POST", "/v1/hosts", {
      name: `${host.name}-2`,
    });
    const machine = createHash("sha256").update("m").digest("hex");
    const wrong = await join("another-name", joinToken, machine);
    expect(await wrong.json()).toMatchObject({ code: "INVALID_REQUEST", field: "nodeName" });
    for (const publicKey of [
      "no key",
      generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "pem" }),
    ]) {
      const refused = await fetch(`${offline.cloud.url}/agent/v1/join`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ token: joinToken, publicKey, machine, nodeName: `${host.name}-2` }),
      });
      expect(await refused.json()).toMatchObject({ code: "INVALID_REQUEST", field: "publicKey" });
    }
    expect((await join(`${host.name}-2`, joinToken, machine)).status).toBe(201);
    const again = await join(`${host.name}-2`, joinToken, machine);
    expect(await again.json()).toMatchObject({ code: "JOIN_TOKEN_USED" });
    const unknown = await join(host.name, "x".repeat(43), machine);
    expect(await unknown.json()).toMatchObject({ code: "JOIN_TOKEN_INVALID" });
    await expect(api("POST", "/v1/hosts", { name: host.name })).rejects.toMatchObject({
      code: "NAME_TAKEN",
    });
  });
});

describe("what is said on a socket", () => {
  test("a frame over 32 KB ends its socket, as API Gateway does", async () => {
    const line = await connected(host);
    line.say(JSON.stringify({ type: "ping", padding: "x".repeat(33 * 1024) }));
    expect(await line.closed).toBe(1009);
  });

  test("malformed and unknown frames get typed errors and the socket goes on", async () => {
    const line = await connected(host);
    line.say("{");
    await line.hears("error", ({ error }) => error.code === "INVALID_MESSAGE");
    line.say({ type: "reboot" });
    await line.hears(
      "error",
      ({ error, about }) => error.code === "UNKNOWN_MESSAGE" && about === "reboot",
    );
    line.say({ ...hello(host), protocol: "one" });
    await line.hears("error", ({ error }) => error.field === "protocol");
    line.say({ ...hello(host), protocol: 9 });
    await line.hears("error", ({ error }) => error.code === "UNSUPPORTED_PROTOCOL");
    line.say({ ...hello(host), host: randomUUID() });
    await line.hears("error", ({ error }) => error.code === "FORBIDDEN");
    expect((await welcomed(line, host)).epoch).toBeGreaterThan(0);
  });

  test("what comes before hello is not heard", async () => {
    const line = await connected(host);
    line.say(report(host, 1, 1));
    await line.hears("error", ({ error }) => error.code === "SUPERSEDED");
    await line.closed;
  });

  test("a second session ends the first, and only the newest is heard", async () => {
    const { line, epoch } = await withCard();
    const newer = await connected(host);
    const second = await welcomed(newer, host, { inventoryHash: "h1" });
    expect(second.epoch).toBe(epoch + 1);
    expect(second.wants).toEqual([]);
    await line.hears("error", ({ error }) => error.code === "SUPERSEDED");
    await line.closed;
    newer.say(report(host, epoch, 99, { health: { state: "degraded" } }));
    await newer.hears("error", ({ error }) => error.code === "SUPERSEDED");
    expect((await viewOf(host)).health.state).toBe("ok");
  });

  test("an older report changes nothing, and one about another host's card is refused", async () => {
    const { line, epoch } = await withCard();
    line.say(report(host, epoch, 5, { health: { state: "degraded" } }));
    await line.hears("ack", (ack) => ack.seq === 5);
    line.say(report(host, epoch, 4));
    await line.hears("ack", (ack) => ack.seq === 4);
    expect((await viewOf(host)).state).toBe("faulty");
    const victim = await joined(`victim-${randomUUID().slice(0, 8)}`);
    line.say(report(host, epoch, 6, { deployable: deployableId(victim.id, cardId, "card") }));
    await line.hears("error", ({ error }) => error.code === "UNKNOWN_DEPLOYABLE");
  });

  test("a receipt must be signed by this host and continue its chain", async () => {
    const { line, epoch } = await withCard();
    const body = (number: number, previous: string): ReceiptBody => ({
      deployable: deployableId(host.id, cardId, "card"),
      number,
      previous,
      kind: "scrub",
      imageGeneration: 1,
      functionId: null,
      fences: { pf: 0 },
      bootId: host.bootId,
      at: Date.now(),
    });
    const first = body(1, chainStart);
    const foreign = generateKeyPairSync("ed25519").privateKey;
    line.say(report(host, epoch, 2, { receipt: signReceipt(first, foreign) }));
    await line.hears("error", ({ error }) => error.code === "SIGNATURE_INVALID");
    line.say(report(host, epoch, 3, { receipt: signReceipt(body(2, chainStart), host.key) }));
    await line.hears("error", ({ error }) => error.code === "CONFLICT");
    line.say(report(host, epoch, 4, { receipt: signReceipt(first, host.key) }));
    await line.hears("ack", (ack) => ack.seq === 4);
    line.say(
      report(host, epoch, 5, { receipt: signReceipt(body(2, receiptDigest(first)), host.key) }),
    );
    await line.hears("ack", (ack) => ack.seq === 5);
    const { items } = await api<{ items: { number: number }[] }>(
      "GET",
      `/v1/deployables/${first.deployable}/receipts`,
    );
    expect(items.map(({ number }) => number)).toEqual([2, 1]);
  });

  test("an inventory counts when all its parts have come, in any order, and a lost card is a tombstone", async () => {
    const { line, epoch } = await withCard();
    const id = randomUUID();
    const part = (index: number, device: InventoryDevice) =>
      inventory(epoch, [device], { id, part: index, of: 2, hash: "h2" });
    line.say(part(1, card(host, "slot-2")));
    await line.hears("ack");
    const listed = async () =>
      (await api<{ items: unknown[] }>("GET", `/v1/devices?host=${host.id}`)).items;
    expect(await listed()).toHaveLength(1);
    line.say(part(0, card(host)));
    await line.hears("ack");
    expect(await listed()).toHaveLength(2);
    const before = await viewOf(host);
    line.say(inventory(epoch, [card(host, "slot-2")], { hash: "h3" }));
    await line.hears("ack");
    expect(await viewOf(host)).toMatchObject({ state: "faulty", reason: "gone", offered: false });
    line.say(inventory(epoch, [card(host), card(host, "slot-2")], { hash: "h4" }));
    await line.hears("ack");
    const back = await viewOf(host);
    expect(back.imageGeneration).toBeGreaterThanOrEqual(before.imageGeneration);
    expect(back.handles[0]?.fence).toBeGreaterThanOrEqual(before.handles[0]?.fence ?? 0);
    expect(back.offered).toBe(false);
  });

  test("counters are lifted above the agent's marks, and a lost memory gets floors", async () => {
    const { line } = await withCard();
    const id = deployableId(host.id, cardId, "card");
    const marks = { [id]: { imageGeneration: 40, fences: { pf: 70 } } };
    const lifted = await welcomed(line, host, { marks });
    expect(lifted.floors[id]?.imageGeneration).toBeGreaterThan(40);
    expect(lifted.floors[id]?.fences["pf"]).toBeGreaterThan(70);
    const forgot = await welcomed(line, host);
    expect(forgot.floors[id]).toEqual(lifted.floors[id]);
  });

  test("a ping that names an old revision gets the wish again", async () => {
    const { line, epoch } = await withCard();
    const id = deployableId(host.id, cardId, "card");
    line.say({ type: "ping", epoch, digest: { [id]: 0 } });
    const { stale } = await line.hears("pong");
    expect(stale).toEqual([id]);
    const { revision } = await line.hears("desired", (one) => one.revision > 1);
    line.say({ type: "ping", epoch, digest: { [id]: revision } });
    expect((await line.hears("pong")).stale).toEqual([]);
  });

  test("the same exchange works as short polls", async () => {
    const send = async (...messages: object[]) => {
      const response = await fetch(`${offline.cloud.url}/agent/v1/exchange`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          authorization: `Bearer ${await tokenOf(host)}`,
        },
        body: JSON.stringify({ frames: messages.map((one) => JSON.stringify(one)) }),
      });
      const { frames } = (await response.json()) as { frames: string[] };
      return frames.map((frame) => JSON.parse(frame) as CloudMessage);
    };
    const [first] = await send(hello(host));
    const epoch = first?.type === "welcome" ? first.epoch : 0;
    await send(inventory(epoch, [card(host)]));
    const id = deployableId(host.id, cardId, "card");
    const answers = await send({ type: "ping", epoch, digest: {} });
    expect(answers.map(({ type }) => type)).toEqual(["pong", "desired"]);
    const [ack] = await send(report(host, epoch, 1));
    expect(ack).toMatchObject({ type: "ack", deployable: id, seq: 1 });
    expect((await viewOf(host)).offered).toBe(true);
    const [refused] = await send({ type: "ping", epoch: epoch + 5, digest: {} });
    expect(refused).toMatchObject({ type: "error", error: { code: "SUPERSEDED" } });
  });
});
