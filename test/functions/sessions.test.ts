import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { type AgentIdentity, signAgentToken } from "#protocol/agent-token";
import type { AgentMessage } from "#protocol/wire/messages";
import { protocolVersion } from "#protocol/wire/shapes";
import { openConnection, readConnection } from "#store/connections";
import { readDeployable } from "#store/deployables";
import { changeHost, readBeat, readHost } from "#store/hosts";
import { fleetKey } from "#store/keys";
import { rowOf } from "#store/rows";
import { exchange } from "../../functions/exchange/exchange.ts";
import { type ConnectEvent, connect } from "../../functions/socket/connect.ts";
import { addDeployable, addHost, idOf, type TestStore, testStore } from "../http/rows.ts";

let store: TestStore;
beforeEach(() => {
  store = testStore();
});

function newKey(): { readonly pem: string; readonly key: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return { pem: publicKey.export({ type: "spki", format: "pem" }).toString(), key: privateKey };
}

const hello: AgentMessage = {
  type: "hello",
  host: idOf("node1"),
  agentVersion: "0.1.0",
  protocol: protocolVersion,
  bootId: idOf("boot"),
  capabilities: [],
  inventoryHash: "none",
};

const greet = async (publicKey: string) => {
  const wishing = { store, bucket: { presignGet: async () => "https://bucket/image" } };
  const session = { host: idOf("node1"), publicKey, epoch: 0, connection: "c1" };
  return await exchange(wishing, session, hello);
};

const connecting = async (authorization: string) =>
  await connect(store, {
    headers: { Authorization: authorization },
    requestContext: { connectionId: "c2" },
  } as unknown as ConnectEvent);

describe("a socket that was opened with a key the host has replaced since", () => {
  test("opens no session, although the host is trusted again", async () => {
    const [old, fresh] = [newKey(), newKey()];
    await addHost(store, "node1", { publicKey: old.pem });
    await changeHost(store, idOf("node1"), (known) => ({ ...known, publicKey: fresh.pem }));
    await expect(greet(old.pem)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await readBeat(store, idOf("node1"))).toMatchObject({ epoch: 3 });
    expect(await greet(fresh.pem)).toMatchObject({ epoch: 4 });
  });
});

describe("a key that is used from a second machine", () => {
  const tokenFrom = async (machine: string, key: KeyObject, host = idOf("node1")) => {
    const identity: AgentIdentity = { host, machine, bootId: idOf("boot") };
    return `Bearer ${await signAgentToken(identity, key, store.now())}`;
  };

  test("ends the session that is open, and nothing of the host is offered any more", async () => {
    const { pem, key } = newKey();
    const host = await addHost(store, "node1", { publicKey: pem, connection: "c1" });
    const card = await addDeployable(store, host, "port0");
    await openConnection(store, { id: "c1", host: host.id, publicKey: pem });
    const { headers } = await connecting(await tokenFrom("another machine", key));
    expect(headers).toMatchObject({ "x-gatehouse-code": "HOST_IDENTITY_CONFLICT" });
    expect(await readHost(store, host.id)).toMatchObject({ revoked: true });
    expect(await readBeat(store, host.id)).toMatchObject({ state: "offline", epoch: 4 });
    expect((await readDeployable(store, host.id, card.id))?.hostOnline).toBe(false);
    await expect(readConnection(store, "c1")).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    const { headers: own } = await connecting(await tokenFrom("a machine", key));
    expect(own).toMatchObject({ "x-gatehouse-code": "HOST_REVOKED" });
  });

  test("a token of a host that cannot be is refused like any other", async () => {
    const token = await tokenFrom("a machine", newKey().key, "a".repeat(3000));
    expect(await connecting(token)).toMatchObject({ statusCode: 401 });
  });
});

describe("a ping that tells of another inventory than the table has", () => {
  const pong = async (inventoryHash?: string) => {
    const message: AgentMessage = {
      type: "ping",
      epoch: 4,
      digest: {},
      ...(inventoryHash === undefined ? {} : { inventoryHash }),
    };
    const session = { host: idOf("node1"), publicKey: "a key", epoch: 4, connection: "c1" };
    const bucket = { presignGet: async () => "https://bucket/image" };
    const { replies } = await exchange({ store, bucket }, session, message);
    return replies[0];
  };

  const sendInventory = async (hash: string) => {
    const message: AgentMessage = {
      type: "inventory",
      id: idOf(hash),
      epoch: 4,
      part: 0,
      of: 1,
      hash,
      devices: [],
    };
    const session = { host: idOf("node1"), publicKey: "a key", epoch: 4, connection: "c1" };
    const bucket = { presignGet: async () => "https://bucket/image" };
    await exchange({ store, bucket }, session, message);
  };

  test("is asked for it until it is there, also when an older one came last", async () => {
    await addHost(store, "node1", { inventoryHash: "first" });
    await greet("a key");
    expect(await pong("first")).not.toHaveProperty("wants");
    expect(await pong("second")).toMatchObject({ wants: ["inventory"] });
    await sendInventory("second");
    expect(await pong("second")).not.toHaveProperty("wants");
    await sendInventory("first");
    expect(await pong("second")).toMatchObject({ wants: ["inventory"] });
  });

  test("is not asked when it tells of none, as older agents do", async () => {
    await addHost(store, "node1");
    await greet("a key");
    expect(await pong()).not.toHaveProperty("wants");
    expect(await pong("any")).toMatchObject({ wants: ["inventory"] });
  });
});

describe("a ping", () => {
  const reads: string[] = [];
  /** Whatever is not read consistently is as `old` was. */
  const lagging = (old: TestStore): TestStore => ({
    ...store,
    table: {
      ...store.table,
      get: async (key, options) => {
        reads.push(`get ${key.sk}`);
        return await store.table.get(key, options);
      },
      query: async (query) => {
        reads.push(query.consistent === true ? "sure" : "recent");
        return await (query.consistent === true ? store : old).table.query(query);
      },
    },
  });
  const pinged = async (from: TestStore, digest: Record<string, number>, epoch = 3) => {
    reads.length = 0;
    const session = { host: idOf("node1"), publicKey: "a key", epoch: 3, connection: "c1" };
    const bucket = { presignGet: async () => "https://bucket/image" };
    const message: AgentMessage = { type: "ping", epoch, digest };
    return (await exchange({ store: from, bucket }, session, message)).replies;
  };
  /** The table before a change of its one card. */
  const before = async () => {
    const old = testStore();
    const host = await addHost(old, "node1");
    return { old, card: await addDeployable(old, host, "port0") };
  };

  test("of an agent that knows all reads its deployables cheaply, and nothing else", async () => {
    const card = await addDeployable(store, await addHost(store, "node1"), "port0");
    const replies = await pinged(lagging(store), { [card.id]: card.revision });
    expect(replies).toMatchObject([{ type: "pong", stale: [] }]);
    expect(reads).toEqual(["recent"]);
  });

  test("is answered with the newest wish, never with the one that a cheap read gave", async () => {
    const { old, card } = await before();
    const facts = { revision: card.revision + 1, imageGeneration: 9 };
    await addDeployable(store, await addHost(store, "node1"), "port0", facts);
    const replies = await pinged(lagging(old), { [card.id]: 0 });
    expect(replies).toMatchObject([{ stale: [card.id] }, { type: "desired", ...facts }]);
    expect(reads).toEqual(["recent", "sure"]);
  });

  test("of an agent that knows more than the cheap read is told nothing old", async () => {
    const { old, card } = await before();
    const facts = { revision: card.revision + 1, imageGeneration: 9 };
    await addDeployable(store, await addHost(store, "node1"), "port0", facts);
    const replies = await pinged(lagging(old), { [card.id]: facts.revision });
    expect(replies).toMatchObject([{ type: "pong", stale: [] }]);
    expect(replies).toHaveLength(1);
  });

  test("that names another session than its socket's is not heard", async () => {
    await addHost(store, "node1");
    store.pass(1);
    await expect(pinged(store, {}, 2)).rejects.toMatchObject({ code: "SUPERSEDED" });
    await expect(pinged(store, {}, 4)).rejects.toMatchObject({ code: "SUPERSEDED" });
    expect(await readBeat(store, idOf("node1"))).toMatchObject({ seenAt: store.now() - 1 });
  });
});

describe("the window of a reconnect", () => {
  const asked = async () => {
    const { replies } = await greet("a key");
    return replies.find((reply) => reply.type === "welcome")?.reconnectMs;
  };

  test("is a second before the fleet was counted", async () => {
    await addHost(store, "node1");
    expect(await asked()).toBe(1000);
  });

  test.each([
    [1, 1000],
    [300, 1000],
    [301, 1004],
    [10_000, 33_334],
  ])("of %i hosts is %i ms", async (hosts, ms) => {
    await addHost(store, "node1");
    const value = { hosts, countedAt: store.now() };
    await store.table.write([{ kind: "put", item: rowOf(fleetKey(), "fleet", value) }]);
    expect(await asked()).toBe(ms);
  });
});
