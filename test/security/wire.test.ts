import { createHash } from "node:crypto";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { signAgentToken } from "#protocol/agent-token";
import { deployableId } from "#protocol/uuid";
import type { CloudMessage } from "#protocol/wire/messages";
import { type ReceiptBody, signReceipt } from "#protocol/wire/receipt";
import { protocolVersion } from "#protocol/wire/shapes";
import { openConnection } from "#store/connections";
import { readDeployable } from "#store/deployables";
import { changeHost, hostOfToken, joinTokenRow, readBeat } from "#store/hosts";
import { endSession, withdraw } from "../../functions/parts/host-session.ts";
import type { Push } from "../../functions/parts/push.ts";
import { type ConnectEvent, connect } from "../../functions/socket/connect.ts";
import { answerFrame } from "../../functions/socket/message.ts";
import { idOf, start } from "../http/rows.ts";
import { rowsOf } from "./judge.ts";
import { type AgentKey, agentKey, copyOf, ids, makeKeys, makeWorld, type World } from "./world.ts";

/** What one host may say, and what it may not: everything goes through the socket's own function. */

let made: World;
let world: World;
let sent: { readonly connection: string; readonly message: CloudMessage }[];
let closed: string[];
let push: Push;

beforeAll(async () => {
  made = await makeWorld(makeKeys());
});

beforeEach(async () => {
  world = await copyOf(made);
  [sent, closed] = [[], []];
  push = {
    send: async (connection, message) => {
      sent.push({ connection, message });
      return await Promise.resolve(true);
    },
    close: async (connection) => {
      closed.push(connection);
      await Promise.resolve();
    },
  };
  await open("c1", ids.host, made.keys.agent);
  await open("c2", ids.idleHost, made.keys.other);
});

async function open(id: string, host: string, { pem }: AgentKey): Promise<void> {
  await openConnection(world.store, { id, host, publicKey: pem });
}

async function frame(connection: string, text: string): Promise<readonly CloudMessage[]> {
  const from = sent.length;
  await answerFrame({ store: world.store, bucket: world.bucket, push }, connection, text);
  return sent.slice(from).map(({ message }) => message);
}

async function say(connection: string, message: object): Promise<readonly CloudMessage[]> {
  return await frame(connection, JSON.stringify(message));
}

const hello = (host: string) => ({
  type: "hello",
  host,
  agentVersion: "1",
  protocol: protocolVersion,
  bootId: idOf("boot"),
  capabilities: [],
  inventoryHash: "h",
});

/** Opens the session of a socket; its epoch. */
async function greet(connection: string, host: string): Promise<number> {
  const [welcome] = await say(connection, hello(host));
  if (welcome?.type !== "welcome") throw new Error(JSON.stringify(welcome));
  return welcome.epoch;
}

const report = (deployable: string, epoch: number, facts: object = {}) => ({
  type: "report",
  deployable,
  epoch,
  seq: 1,
  bootId: idOf("boot"),
  imageGeneration: 4,
  revision: 1,
  phase: "ready",
  loaded: { functionId: null },
  health: { state: "gone" },
  clean: true,
  handles: { pf: { fence: 2, state: "unplugged", clean: true } },
  ...facts,
});

/** The refusal, and proof that nothing was written for it. */
async function refusedBy(connection: string, message: object | string): Promise<string> {
  const before = rowsOf(world);
  const text = typeof message === "string" ? message : JSON.stringify(message);
  const [answer] = await frame(connection, text);
  expect(rowsOf(world)).toBe(before);
  if (answer?.type !== "error") throw new Error(`not refused: ${JSON.stringify(answer)}`);
  return answer.error.code;
}

describe("another host's", () => {
  test("name is not taken: a host speaks only for itself", async () => {
    expect(await refusedBy("c2", hello(ids.host))).toBe("FORBIDDEN");
  });

  test("deployables are unknown to a report", async () => {
    const epoch = await greet("c2", ids.idleHost);
    expect(await refusedBy("c2", report(ids.card, epoch))).toBe("UNKNOWN_DEPLOYABLE");
  });

  test("cards are not replaced by an inventory that names them", async () => {
    const epoch = await greet("c2", ids.idleHost);
    const card = { ...device("card"), id: ids.device, host: ids.host };
    const region = { ...card.deployables[0], id: ids.card, host: ids.host };
    const before = await readDeployable(world.store, ids.host, ids.card);
    const inventory = { ...inventoryOf(epoch), devices: [{ ...card, deployables: [region] }] };
    expect(await say("c2", inventory)).toMatchObject([{ type: "ack" }]);
    expect(await readDeployable(world.store, ids.host, ids.card)).toEqual(before);
    const own = deployableId(ids.idleHost, card.cardId, "port0");
    expect(await readDeployable(world.store, ids.idleHost, own)).toBeDefined();
    expect(await readDeployable(world.store, ids.idleHost, ids.card)).toBeUndefined();
  });

  test("wishes do not come to a ping that asks for them", async () => {
    const epoch = await greet("c2", ids.idleHost);
    const ping = { type: "ping", epoch, digest: { [ids.card]: 0, [ids.freeCard]: 0 } };
    const answers = await say("c2", ping);
    expect(JSON.stringify(answers)).not.toContain(ids.card);
    expect(JSON.stringify(answers)).not.toContain(ids.claim);
  });

  test("marks in a hello lift nothing of it", async () => {
    const before = await readDeployable(world.store, ids.host, ids.card);
    const marks = { [ids.card]: { imageGeneration: 99, fences: { pf: 99 } } };
    const [welcome] = await say("c2", { ...hello(ids.idleHost), marks });
    expect(JSON.stringify(welcome)).not.toContain(ids.card);
    expect(await readDeployable(world.store, ids.host, ids.card)).toEqual(before);
  });

  test("card operation is not ended by a card-report of its id", async () => {
    const epoch = await greet("c2", ids.idleHost);
    const told = {
      type: "card-report",
      epoch,
      cardId: "serial-1",
      operation: idOf("operation"),
      state: "succeeded",
      inventoryHash: "h",
    };
    const before = rowsOf(world);
    await say("c2", told);
    expect(rowsOf(world)).toBe(before);
  });
});

function device(name: string) {
  return {
    cardId: name,
    kind: "FPGA",
    vendor: "intel",
    product: "n3000",
    pciVendor: "8086",
    pciDevice: "0b30",
    address: "0000:3b:00.0",
    driver: "simulated",
    layout: "regions",
    deployables: [
      {
        id: idOf("any"),
        region: "port0",
        sharing: "none",
        programmable: true,
        loaded: { functionId: null },
        health: { state: "ok" },
        handles: [{ name: "pf", type: "PF", address: "0000:3b:00.0", attachable: true }],
      },
    ],
  };
}

const inventoryOf = (epoch: number) => ({
  type: "inventory",
  id: idOf("inventory"),
  epoch,
  part: 0,
  of: 1,
  hash: "h",
  devices: [device("card")],
});

describe("an older session", () => {
  const messages = (epoch: number): readonly object[] => [
    report(ids.card, epoch),
    inventoryOf(epoch),
    { type: "ping", epoch, digest: {} },
    {
      type: "card-report",
      epoch,
      cardId: "serial-1",
      operation: idOf("operation"),
      state: "running",
      inventoryHash: "h",
    },
  ];

  test.each([0, 1, 2, 3])("is not heard: message %s", async (index) => {
    const old = await greet("c1", ids.host);
    await open("c3", ids.host, made.keys.agent);
    await greet("c3", ids.host);
    expect(await refusedBy("c1", messages(old)[index] ?? {})).toBe("SUPERSEDED");
  });

  test("cannot speak under the newest epoch that it has guessed", async () => {
    const old = await greet("c1", ids.host);
    await open("c3", ids.host, made.keys.agent);
    await greet("c3", ids.host);
    expect(await refusedBy("c1", report(ids.card, old + 1))).toBe("SUPERSEDED");
    expect(closed).toContain("c1");
  });

  test("is not heard under an epoch that is to come", async () => {
    const epoch = await greet("c1", ids.host);
    expect(await refusedBy("c1", report(ids.card, epoch + 1))).toBe("SUPERSEDED");
  });

  test("a socket that never said hello has no session", async () => {
    const { epoch } = await readBeat(world.store, ids.host);
    expect(await refusedBy("c1", report(ids.card, epoch))).toBe("SUPERSEDED");
    expect(await refusedBy("c1", report(ids.card, 0))).toBe("SUPERSEDED");
  });

  test("a hello that is played back on a new socket needs that socket's own proof", async () => {
    await greet("c1", ids.host);
    expect(await refusedBy("stranger", hello(ids.host))).toBe("UNAUTHENTICATED");
  });
});

describe("a receipt", () => {
  const body = (facts: Partial<ReceiptBody> = {}): ReceiptBody => ({
    deployable: ids.freeCard,
    number: 1,
    previous: "0".repeat(64),
    kind: "scrub",
    imageGeneration: 4,
    functionId: null,
    fences: { pf: 1 },
    bootId: idOf("boot"),
    at: start,
    ...facts,
  });
  const withReceipt = (epoch: number, receipt: object) =>
    report(ids.freeCard, epoch, { health: { state: "ok" }, receipt });

  test("of the host's own key is taken", async () => {
    const epoch = await greet("c1", ids.host);
    const receipt = signReceipt(body(), made.keys.agent.key);
    expect(await say("c1", withReceipt(epoch, receipt))).toMatchObject([{ type: "ack" }]);
  });

  test.each<readonly [string, string, () => object]>([
    ["of another host's key", "SIGNATURE_INVALID", () => signReceipt(body(), made.keys.other.key)],
    [
      "changed after it was signed",
      "SIGNATURE_INVALID",
      () => ({ ...signReceipt(body(), made.keys.agent.key), body: body({ kind: "program" }) }),
    ],
    ["without a signature", "SIGNATURE_INVALID", () => ({ body: body(), signature: "" })],
    [
      "with a signature that is none",
      "SIGNATURE_INVALID",
      () => ({ body: body(), signature: "%" }),
    ],
    [
      "of another deployable",
      "INVALID_MESSAGE",
      () => signReceipt(body({ deployable: ids.card }), made.keys.agent.key),
    ],
    [
      "of another host's deployable",
      "INVALID_MESSAGE",
      () => signReceipt(body({ deployable: ids.idleCard }), made.keys.agent.key),
    ],
  ])("%s is forged", async (_, code, receipt) => {
    const epoch = await greet("c1", ids.host);
    expect(await refusedBy("c1", withReceipt(epoch, receipt()))).toBe(code);
  });

  test.each([
    ["skips one", { number: 2 }],
    ["names another one before it", { previous: "f".repeat(64) }],
  ])("that %s does not get into the chain", async (_, facts) => {
    const epoch = await greet("c1", ids.host);
    const receipt = signReceipt(body(facts), made.keys.agent.key);
    const [answer] = await say("c1", withReceipt(epoch, receipt));
    expect(answer).toMatchObject({ type: "error", error: { code: "CONFLICT" } });
    expect(rowsOf(world)).not.toContain(receipt.signature);
  });
});

describe("a message", () => {
  const padded = (bytes: number) => {
    const text = JSON.stringify({ type: "ping", epoch: 1, digest: {}, pad: "" });
    return `${text.slice(0, -2)}${"x".repeat(bytes - text.length)}"}`;
  };

  test("of 32 KB is read, one byte more is not", async () => {
    expect(await refusedBy("c1", padded(32 * 1024))).toBe("SUPERSEDED");
    expect(await refusedBy("c1", padded(32 * 1024 + 1))).toBe("MESSAGE_TOO_LARGE");
    const wide = padded(32 * 1024 - 1).replace("x", "é".repeat(2));
    expect(await refusedBy("c1", wide)).toBe("MESSAGE_TOO_LARGE");
  });

  const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;

  test.each([
    ["no JSON", "INVALID_MESSAGE", "{"],
    ["nothing", "INVALID_MESSAGE", ""],
    ["a list", "INVALID_MESSAGE", "[]"],
    ["of brackets", "INVALID_MESSAGE", `${"[".repeat(16_000)}${"]".repeat(16_000)}`],
    ["of a type that is no word", "INVALID_MESSAGE", '{"type":{"toString":1}}'],
    ["of a type that the cloud sends", "UNKNOWN_MESSAGE", '{"type":"desired"}'],
    ["of a built-in's name", "UNKNOWN_MESSAGE", '{"type":"__proto__"}'],
    ["of endless numbers", "INVALID_MESSAGE", '{"type":"ping","epoch":1e999,"digest":{}}'],
    ["with a fraction as epoch", "INVALID_MESSAGE", '{"type":"ping","epoch":1.5,"digest":{}}'],
    [
      "that digs deep",
      "INVALID_MESSAGE",
      `{"type":"ping","epoch":1,"digest":{},"x":${deep(4000)}}`,
    ],
  ])("that is %s is refused and ends nothing else", async (_, code, text) => {
    expect(await refusedBy("c1", text)).toBe(code);
    expect(await greet("c1", ids.host)).toBe(4);
  });

  test("cannot smuggle members in by way of a prototype", async () => {
    const epoch = await greet("c1", ids.host);
    const plain = JSON.stringify(report(ids.freeCard, epoch, { health: { state: "ok" } }));
    const forged = JSON.stringify({ receipt: { body: { deployable: ids.freeCard } } });
    await frame("c1", `${plain.slice(0, -1)},"__proto__":${forged}}`);
    expect(sent.at(-1)?.message).toMatchObject({ type: "ack" });
    expect(rowsOf(world)).not.toContain('RECEIPT#000000000001"},"deployable":null');
    expect(Object.hasOwn(Object.prototype, "receipt")).toBe(false);
  });

  test.each([
    ["as deep as a frame can hold them", deep(3000)],
    ["deeper than a row can hold them", deep(30)],
    ["with a number that no row can hold", "1e300"],
    ["with a number that has no value", "1e999"],
    ["with a fraction that no row can hold", "1e-200"],
  ])("with members %s is no defect", async (_, member) => {
    const epoch = await greet("c1", ids.host);
    const attachment = `{"hypervisor":"qemu","x":${member}}`;
    const text = JSON.stringify(
      report(ids.card, epoch, {
        health: { state: "ok" },
        handles: { pf: { fence: 2, state: "plugged", clean: false, attachment: 0 } },
      }),
    ).replace('"attachment":0', `"attachment":${attachment}`);
    const [answer] = await frame("c1", text);
    expect(answer).toMatchObject({ type: "error", error: { code: "INVALID_MESSAGE" } });
  });
});

describe("a host that is revoked", () => {
  const revoke = async () => {
    await changeHost(world.store, ids.host, (known) => ({ ...known, revoked: true }));
  };

  test("is not heard on the socket that was open", async () => {
    const epoch = await greet("c1", ids.host);
    await revoke();
    await endSession({ store: world.store, push }, ids.host);
    await withdraw(world.store, ids.host);
    expect(await refusedBy("c1", report(ids.card, epoch))).toBe("UNAUTHENTICATED");
    expect(await refusedBy("c1", hello(ids.host))).toBe("UNAUTHENTICATED");
  });

  test("opens no new one", async () => {
    await revoke();
    expect(await refusedBy("c1", hello(ids.host))).toBe("HOST_REVOKED");
  });
});

describe("a key on two machines", () => {
  const connecting = async (machine: string, key = made.keys.agent.key) => {
    const identity = { host: ids.host, machine, bootId: idOf("boot") };
    const token = await signAgentToken(identity, key, start);
    const { store } = world;
    return await connect(store, {
      headers: { Authorization: `Bearer ${token}` },
      requestContext: { connectionId: "c9" },
    } as unknown as ConnectEvent);
  };

  test("lets neither in and takes the host's cards off offer", async () => {
    const conflict = await connecting("another machine");
    expect(conflict).toMatchObject({
      statusCode: 403,
      headers: { "x-gatehouse-code": "HOST_IDENTITY_CONFLICT" },
    });
    expect(await connecting("a machine")).toMatchObject({
      headers: { "x-gatehouse-code": "HOST_REVOKED" },
    });
    expect(await readDeployable(world.store, ids.host, ids.freeCard)).toMatchObject({
      hostOnline: false,
    });
  });

  test("whoever has no key cannot get a host revoked", async () => {
    const before = rowsOf(world);
    expect(await connecting("another machine", agentKey().key)).toMatchObject({ statusCode: 401 });
    expect(rowsOf(world)).toBe(before);
  });
});

describe("a join token", () => {
  const digest = createHash("sha256").update("token").digest("hex");

  test("is over after an hour, and used up after one use", async () => {
    const { store } = world;
    await store.table.write([joinTokenRow(digest, ids.host, store.now())]);
    expect(await hostOfToken(store, digest)).toBe(ids.host);
    store.pass(3_600_001);
    await expect(hostOfToken(store, digest)).rejects.toMatchObject({ code: "JOIN_TOKEN_EXPIRED" });
  });

  test("is not in the table: whoever reads that cannot join", async () => {
    await world.store.table.write([joinTokenRow(digest, ids.host, start)]);
    expect(rowsOf(world)).not.toContain('"token"');
  });
});
