import type { DynamoDBRecord } from "aws-lambda";
import { beforeEach, describe, expect, test } from "vitest";
import type { CardOperation } from "#domain/card";
import type { Deployable } from "#domain/deployable";
import { deviceId, uuidOf } from "#protocol/uuid";
import type { CardReport } from "#protocol/wire/card";
import type { CloudMessage } from "#protocol/wire/messages";
import { protocolVersion } from "#protocol/wire/shapes";
import { beginOperation, readOperation } from "#store/cards";
import { readDeployable } from "#store/deployables";
import { listEvents } from "#store/events";
import { changeHost } from "#store/hosts";
import { cardKey, cardOperationKey, deviceKey } from "#store/keys";
import { marshalItem } from "#store/marshal";
import { rowOf } from "#store/rows";
import type { Item } from "#store/table";
import { sweep } from "../../functions/events/sweep.ts";
import { tableChangedFunction } from "../../functions/events/table-changed.ts";
import { exchange } from "../../functions/exchange/exchange.ts";
import { addDeployable, addHost, idOf, type TestStore, testStore } from "../http/rows.ts";

let store: TestStore;
let card: Deployable;
let operation: CardOperation;
const cardId = "serial-1";
const hash = "hash-1";
const device = deviceId(idOf("node1"), cardId);

beforeEach(async () => {
  store = testStore();
  const host = await addHost(store, "node1", { connection: "c1", inventoryHash: hash });
  card = await addDeployable(store, host, "port0", { device });
  const facts = { id: device, host: host.id, hostName: "node1", cardId };
  const value = { ...facts, present: true, deployables: [card.id], updatedAt: 1 };
  const item = rowOf(deviceKey(host.id, device), "device", value);
  await store.table.write([{ kind: "put", item }]);
  const wanted = { id: uuidOf("operation"), kind: "layout", layout: "vfs", vfs: 4 } as const;
  operation = await beginOperation(store, { host: host.id, device }, wanted);
});

const bucket = { presignGet: async () => "https://bucket/image" };
const say = async (message: Parameters<typeof exchange>[2]) => {
  const session = { host: idOf("node1"), publicKey: "a key", epoch: 3, connection: "c1" };
  return (await exchange({ store, bucket }, session, message)).replies;
};
const told = async (facts: Partial<CardReport> = {}) =>
  await say({
    type: "card-report",
    epoch: 3,
    cardId,
    operation: operation.id,
    state: "succeeded",
    inventoryHash: hash,
    ...facts,
  });
const cardsIn = (messages: readonly CloudMessage[]) =>
  messages.filter((message) => message.type === "card");
const ping = async () => await say({ type: "ping", epoch: 3, digest: {} });
const now = async () => await readOperation(store, operation);

const wish = () => ({
  type: "card",
  cardId,
  operation: operation.id,
  kind: "layout",
  layout: "vfs",
  vfs: 4,
  requestedAt: operation.requestedAt,
  deadline: operation.deadline,
  floors: { [card.id]: { imageGeneration: 4, fences: { pf: 1 } } },
});

describe("an agent gets an open operation", () => {
  test("with every ping until it has said how it ended", async () => {
    expect(cardsIn(await ping())).toEqual([wish()]);
    await told({ state: "running" });
    expect(cardsIn(await ping())).toHaveLength(1);
    await told();
    expect(cardsIn(await ping())).toEqual([]);
  });

  test("with its welcome", async () => {
    const replies = await say({
      type: "hello",
      host: idOf("node1"),
      agentVersion: "0.1.0",
      protocol: protocolVersion,
      bootId: idOf("boot"),
      capabilities: [],
      inventoryHash: hash,
    });
    expect(replies[0]).toMatchObject({ type: "welcome" });
    expect(cardsIn(replies)).toEqual([wish()]);
  });

  test("at once over its socket, when the lock is taken and not when it is kept", async () => {
    const sent: CloudMessage[] = [];
    const send = async (_: string, message: CloudMessage) => sent.push(message) > 0;
    const push = { send, close: async () => undefined };
    const served = tableChangedFunction({
      store,
      bucket,
      push,
      assignWaiting: async () => undefined,
    });
    const lock = await store.table.get(cardKey(operation.host, device), { consistent: true });
    if (lock === undefined) throw new Error("the lock is there");
    const deliver = async (before: Item | undefined, after: Item | undefined) =>
      await served({ Records: [record(before, after)] }, {} as never);
    expect(await deliver(undefined, lock)).toEqual({ batchItemFailures: [] });
    expect(sent).toEqual([wish()]);
    await deliver(lock, { ...lock, joined: 1 });
    await deliver(lock, undefined);
    expect(sent).toHaveLength(1);
    await told({ state: "failed", error: { code: "IN_USE", message: "held" } });
    const key = cardOperationKey(device, operation.id);
    await deliver(undefined, await store.table.get(key, { consistent: true }));
    const { items } = await listEvents(store, { subject: idOf("node1") }, () => true, {});
    expect(items.map(({ kind, text }) => `${kind} ${text}`).toSorted()).toEqual([
      `card.freed layout vfs 4 of card ${device} failed: IN_USE held, ${operation.id}`,
      `card.locked layout vfs 4 of card ${device}, ${operation.id}`,
    ]);
  });
});

describe("what an agent says", () => {
  test("moves the operation on and ends it", async () => {
    await told({ state: "running" });
    expect((await now())?.state).toBe("running");
    await told();
    expect((await now())?.state).toBe("succeeded");
    const after = await readDeployable(store, card.host, card.id);
    expect(after?.cardOperation).toBeUndefined();
    await told({ state: "failed" });
    expect((await now())?.state).toBe("succeeded");
  });

  test.each([
    [
      { code: "IN_USE", message: "held" },
      { code: "IN_USE", message: "held" },
    ],
    [undefined, { code: "INTERNAL", message: "the agent gave no reason" }],
  ])("of a failure keeps the reason %j", async (error, kept) => {
    await told({ state: "failed", ...(error === undefined ? {} : { error }) });
    expect(await now()).toMatchObject({ state: "failed", error: kept });
  });

  test("is an end only with the inventory that goes with it, which asks for it again", async () => {
    await told({ inventoryHash: "hash-2" });
    expect((await now())?.state).toBe("running");
    const replies = await say({
      type: "inventory",
      id: uuidOf("inventory"),
      epoch: 3,
      part: 0,
      of: 1,
      hash: "hash-2",
      devices: [],
    });
    expect(cardsIn(replies)).toMatchObject([{ operation: operation.id }]);
    await told({ inventoryHash: "hash-2" });
    expect((await now())?.state).toBe("succeeded");
  });

  test("of another operation, another card or an older session changes nothing", async () => {
    await told({ operation: uuidOf("other") });
    await told({ cardId: "serial-2" });
    await expect(told({ epoch: 2 })).rejects.toMatchObject({ code: "SUPERSEDED" });
    expect((await now())?.state).toBe("pending");
  });

  test("is heard of its own host only", async () => {
    await addHost(store, "node2", { inventoryHash: hash });
    const session = { host: idOf("node2"), publicKey: "a key", epoch: 3, connection: "c2" };
    await exchange({ store, bucket }, session, {
      type: "card-report",
      epoch: 3,
      cardId,
      operation: operation.id,
      state: "succeeded",
      inventoryHash: hash,
    });
    expect((await now())?.state).toBe("pending");
  });
});

describe("the sweep", () => {
  const swept = async () => {
    const push = { send: async () => true, close: async () => undefined };
    return await sweep({ store, bucket, push, assign: async (claim) => claim });
  };

  test.each([
    ["pending", "HOST_OFFLINE"],
    ["running", "CARD_STUCK"],
  ] as const)("fails what is %s at its deadline with %s", async (state, code) => {
    if (state === "running") await told({ state });
    store.pass(899_999);
    expect(await swept()).toMatchObject({ overdueOperations: 0 });
    store.pass(1);
    expect(await swept()).toMatchObject({ overdueOperations: 1, failures: 0 });
    expect(await now()).toMatchObject({ state: "failed", error: { code } });
    expect((await readDeployable(store, card.host, card.id))?.cardOperation).toBeUndefined();
    expect(await swept()).toMatchObject({ overdueOperations: 0 });
    await changeHost(store, card.host, (host) => ({ ...host, inventoryHash: hash }));
    await told();
    expect((await now())?.state).toBe("failed");
  });
});

function record(before: Item | undefined, after: Item | undefined): DynamoDBRecord {
  return {
    eventID: `${JSON.stringify(after ?? before).length}`,
    dynamodb: {
      SequenceNumber: "1",
      ApproximateCreationDateTime: 1,
      ...(before && { OldImage: marshalItem(before) }),
      ...(after && { NewImage: marshalItem(after) }),
    },
  };
}
