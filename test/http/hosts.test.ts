import { createHash } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import type { HostView, JoinTokenView } from "#protocol/http/hosts";
import { openConnection, readConnection } from "#store/connections";
import { readDeployable } from "#store/deployables";
import { consumeToken, hostOfToken, readBeat, readHost } from "#store/hosts";
import type { Query } from "#store/table";
import { hostsFunction } from "../../functions/http/hosts.ts";
import { changeBeatState } from "./beats.ts";
import { ask, type HttpFunction, refused, walk } from "./event.ts";
import {
  addDeployable,
  addHost,
  handleOf,
  heldHandle,
  idOf,
  start,
  type TestStore,
  testStore,
} from "./rows.ts";

let store: TestStore;
let served: HttpFunction;
let closed: string[];
let closing: () => void;

beforeEach(() => {
  store = testStore();
  closed = [];
  closing = () => undefined;
  const push = {
    close: async (connection: string) => {
      closed.push(connection);
      closing();
    },
  };
  served = hostsFunction({ store, push });
});

const admin = { roles: "admin", project: "ops" };
const at = (host: string) => ({ ...admin, path: { host } });
const digestOf = (token: string) => createHash("sha256").update(token).digest("hex");
const create = async (name: string, key?: string) =>
  await ask<JoinTokenView>(served, "createHost", {
    ...admin,
    body: { name },
    ...(key === undefined ? {} : { key }),
  });

describe("creating a host", () => {
  test("gives the host and a token for one join within an hour", async () => {
    const { host, joinToken, expiresAt } = await create("node1");
    expect(host).toMatchObject({ name: "node1", state: "joined", joined: false, epoch: 0 });
    expect(host.seenAt).toBeUndefined();
    expect(Buffer.from(joinToken, "base64url")).toHaveLength(32);
    expect(Date.parse(expiresAt)).toBe(start + 3_600_000);
    expect(await hostOfToken(store, digestOf(joinToken))).toBe(host.id);
  });

  test("the token ends after an hour", async () => {
    const { joinToken } = await create("node1");
    store.pass(3_600_000);
    await expect(hostOfToken(store, digestOf(joinToken))).rejects.toThrow(/expired/);
  });

  test("the token itself is nowhere in the table, nor the key it was asked with", async () => {
    const { joinToken } = await create("node1", "a-caller's-own-key");
    const table = JSON.stringify(store.table.items());
    expect(table).toContain(digestOf(joinToken));
    expect(table).not.toContain(joinToken);
    expect(table).not.toContain("a-caller's-own-key");
  });

  test("two hosts never get the same token, with or without a key", async () => {
    const tokens = [
      await create("node1"),
      await create("node2"),
      await create("node3", "k1"),
      await create("node4", "k2"),
    ].map(({ joinToken }) => joinToken);
    expect(new Set(tokens).size).toBe(4);
  });

  test("the same request again answers the same host and the same token, and makes nothing", async () => {
    const first = await create("node1", "k");
    const rows = store.table.items().length;
    expect(await create("node1", "k")).toEqual(first);
    expect(store.table.items()).toHaveLength(rows);
  });

  test("a repetition does not make a used token good again", async () => {
    const { joinToken } = await create("node1", "k");
    await store.table.write([consumeToken(digestOf(joinToken))]);
    expect((await create("node1", "k")).joinToken).toBe(joinToken);
    await expect(hostOfToken(store, digestOf(joinToken))).rejects.toThrow(/used before/);
  });

  test("the key of another project is another key", async () => {
    await create("node1", "k");
    const other = { roles: "admin", project: "p2", key: "k", body: { name: "node1" } };
    expect(await refused(served, "createHost", other)).toMatchObject({ code: "NAME_TAKEN" });
  });

  test("the same key for another host is a mismatch", async () => {
    await create("node1", "k");
    const problem = await refused(served, "createHost", {
      ...admin,
      key: "k",
      body: { name: "node2" },
    });
    expect(problem).toMatchObject({ code: "IDEMPOTENCY_MISMATCH", status: 422 });
  });

  test("two requests with one key at the same time make one host", async () => {
    const [one, two] = await Promise.all([create("node1", "k"), create("node1", "k")]);
    expect(two).toEqual(one);
    expect((await walk(served, "listHosts", { ...admin, limit: 10 })).length).toBe(1);
  });

  test("a key is forgotten after a day and a bit; the host's name is still taken", async () => {
    await create("node1", "k");
    store.pass(27 * 3_600_000);
    const again = { ...admin, key: "k", body: { name: "node1" } };
    expect(await refused(served, "createHost", again)).toMatchObject({ code: "NAME_TAKEN" });
  });

  test.each([
    [{}, "name"],
    [{ name: "" }, "name"],
    [{ name: "a b" }, "name"],
    [{ name: "-a" }, "name"],
    [{ name: "a".repeat(129) }, "name"],
    [{ name: 7 }, "name"],
    [{ name: "node1", token: "x" }, "token"],
    [[], "body"],
  ])("%j is refused by the name of what is wrong", async (body, field) => {
    const problem = await refused(served, "createHost", { ...admin, body });
    expect(problem).toMatchObject({ code: "INVALID_REQUEST", status: 400 });
    expect(problem["field"] || "body").toBe(field);
  });

  test.each(["{", '"', "name=node1"])("a body of %s is no JSON", async (text) => {
    const problem = await refused(served, "createHost", { ...admin, text });
    expect(problem).toMatchObject({ code: "INVALID_REQUEST", field: "body" });
  });

  test.each(["", "k".repeat(256)])("the idempotency key %j is refused", async (key) => {
    const problem = await refused(served, "createHost", { ...admin, key, body: { name: "n" } });
    expect(problem).toMatchObject({ code: "INVALID_REQUEST", field: "Idempotency-Key" });
  });
});

describe("another join token", () => {
  test("is new each time, and the same for the same request", async () => {
    const { host } = await create("node1");
    const token = async (key?: string) =>
      (
        await ask<JoinTokenView>(served, "createJoinToken", {
          ...at(host.id),
          ...(key === undefined ? {} : { key }),
        })
      ).joinToken;
    const [one, two, three, four] = [
      await token(),
      await token(),
      await token("k"),
      await token("k"),
    ];
    expect(new Set([one, two, three]).size).toBe(3);
    expect(four).toBe(three);
    for (const made of [one, two, three]) {
      expect(await hostOfToken(store, digestOf(made ?? ""))).toBe(host.id);
    }
  });

  test("is not made for a host that is unknown or removed", async () => {
    const unknown = await refused(served, "createJoinToken", at(idOf("nobody")));
    expect(unknown).toMatchObject({ code: "UNKNOWN_HOST", status: 404 });
    await addHost(store, "node1");
    await ask(served, "removeHost", at(idOf("node1")));
    const removed = await refused(served, "createJoinToken", at(idOf("node1")));
    expect(removed).toMatchObject({ code: "WRONG_STATE", status: 409 });
  });
});

describe("looking at hosts", () => {
  test("one by id or by name, with its sign of life", async () => {
    await addHost(store, "node1", { alarm: "used twice" });
    const byId = await ask<HostView>(served, "getHost", at(idOf("node1")));
    expect(byId).toEqual(await ask<HostView>(served, "getHost", at("node1")));
    expect(byId).toMatchObject({ joined: true, epoch: 3, alarm: "used twice" });
    expect(Date.parse(byId.seenAt ?? "")).toBe(start);
  });

  test("none that is unknown", async () => {
    const problem = await refused(served, "getHost", at("nobody"));
    expect(problem).toMatchObject({ code: "UNKNOWN_HOST", field: "host" });
  });

  test("all by name, page by page, without the removed", async () => {
    for (const name of ["c", "a", "e", "b", "d"]) await addHost(store, name);
    await ask(served, "removeHost", at(idOf("e")));
    const found = await walk<HostView>(served, "listHosts", { ...admin, limit: 2 });
    expect(found.map(({ name }) => name)).toEqual(["a", "b", "c", "d"]);
    expect(found.map(({ epoch }) => epoch)).toEqual([3, 3, 3, 3]);
  });

  test("by name: that one or none", async () => {
    await addHost(store, "node1");
    const named = async (name: string) =>
      (await ask<{ items: HostView[] }>(served, "listHosts", { ...admin, query: { name } })).items;
    expect((await named("node1")).map(({ id }) => id)).toEqual([idOf("node1")]);
    expect(await named("node")).toEqual([]);
    expect(await named(idOf("node1"))).toEqual([]);
  });

  test.each([
    [{ limit: "0" }, "limit"],
    [{ limit: "201" }, "limit"],
    [{ limit: "1.5" }, "limit"],
    [{ limit: "x" }, "limit"],
    [{ after: "x" }, "after"],
    [{ after: Buffer.from("[0,1]").toString("base64url") }, "after"],
    [{ after: Buffer.from("[9,null]").toString("base64url") }, "after"],
    [{ after: Buffer.from('[0,"x"]').toString("base64url") }, "after"],
    [{ name: "a b" }, "name"],
    [{ state: "online" }, "state"],
  ])("the query %j is refused by the name of what is wrong", async (query, field) => {
    const problem = await refused(served, "listHosts", { ...admin, query });
    expect(problem).toMatchObject({ code: "INVALID_REQUEST", field });
  });
});

describe("draining", () => {
  test("withdraws everything from the pool, keeps claims and the session", async () => {
    const host = await addHost(store, "node1", { connection: "c1" });
    const free = await addDeployable(store, host, "a");
    const held = await addDeployable(store, host, "b", { handles: { pf: heldHandle("p1", "x") } });
    expect((await ask<HostView>(served, "drainHost", at(host.id))).state).toBe("drained");
    expect(await readBeat(store, host.id)).toMatchObject({
      state: "drained",
      epoch: 3,
      connection: "c1",
    });
    for (const one of [free, held]) {
      const after = await readDeployable(store, host.id, one.id);
      expect(after).toMatchObject({ hostOnline: false, handles: one.handles });
    }
    const offered = store.table.items().filter((row) => JSON.stringify(row).includes('"FREE#'));
    expect(offered).toEqual([]);
    expect(closed).toEqual([]);
  });

  test("again changes nothing", async () => {
    const host = await addHost(store, "node1");
    await ask(served, "drainHost", at(host.id));
    const rows = store.table.items();
    await ask(served, "drainHost", at(host.id));
    expect(store.table.items()).toEqual(rows);
  });

  test("does not make a silent host look alive", async () => {
    const host = await addHost(store, "node1", { state: "offline" });
    await ask(served, "drainHost", at(host.id));
    expect(await readBeat(store, host.id)).toMatchObject({ state: "offline" });
  });

  test("and activating: the agent must say hello again before anything is offered", async () => {
    const host = await addHost(store, "node1", { connection: "c1" });
    await openConnection(store, { id: "c1", host: host.id, publicKey: "k" });
    const one = await addDeployable(store, host, "a");
    await ask(served, "drainHost", at(host.id));
    expect((await ask<HostView>(served, "activateHost", at(host.id))).state).toBe("offline");
    expect(closed).toEqual(["c1"]);
    expect(await readBeat(store, host.id)).toMatchObject({ state: "offline", epoch: 4 });
    expect(await readDeployable(store, host.id, one.id)).toMatchObject({ hostOnline: false });
  });

  test.each([
    ["a call before it", "drained"],
    ["a drain and an activation", "online"],
  ] as const)("activating again ends the session that %s left open", async (_, left) => {
    const host = await addHost(store, "node1", { state: "offline", connection: "c1" });
    await openConnection(store, { id: "c1", host: host.id, publicKey: "a key" });
    await changeBeatState(store, host.id, left);
    await ask<HostView>(served, "activateHost", at(host.id));
    expect(closed).toEqual(["c1"]);
    expect(await readBeat(store, host.id)).toMatchObject({ state: "offline", epoch: 4 });
  });

  test("activating a host that is active leaves its session alone", async () => {
    const host = await addHost(store, "node1", { connection: "c1" });
    expect((await ask<HostView>(served, "activateHost", at(host.id))).state).toBe("online");
    expect(closed).toEqual([]);
    expect(await readBeat(store, host.id)).toMatchObject({ state: "online", epoch: 3 });
  });

  test.each(["drainHost", "activateHost", "revokeHost"] as const)(
    "%s of a removed or unknown host is refused",
    async (operation) => {
      await addHost(store, "node1");
      await ask(served, "removeHost", at(idOf("node1")));
      const removed = await refused(served, operation, at(idOf("node1")));
      expect(removed).toMatchObject({ code: "WRONG_STATE" });
      const unknown = await refused(served, operation, at("nobody"));
      expect(unknown).toMatchObject({ code: "UNKNOWN_HOST" });
    },
  );
});

describe("revoking", () => {
  test("ends the session at once and withdraws everything", async () => {
    const host = await addHost(store, "node1", { connection: "c1" });
    await openConnection(store, { id: "c1", host: host.id, publicKey: "k" });
    const one = await addDeployable(store, host, "a");
    const view = await ask<HostView>(served, "revokeHost", at(host.id));
    expect(view).toMatchObject({ revoked: true, state: "offline", epoch: 4 });
    expect(closed).toEqual(["c1"]);
    await expect(readConnection(store, "c1")).rejects.toThrow(/not known/);
    const beat = await readBeat(store, host.id);
    expect(beat).toMatchObject({ epoch: 4, state: "offline" });
    expect(beat.connection).toBeUndefined();
    expect(await readDeployable(store, host.id, one.id)).toMatchObject({ hostOnline: false });
  });

  test("holds although the socket cannot be closed", async () => {
    const host = await addHost(store, "node1", { connection: "c1" });
    closing = () => {
      throw new Error("no network");
    };
    expect(await ask<HostView>(served, "revokeHost", at(host.id))).toMatchObject({ revoked: true });
    expect((await readHost(store, host.id)).revoked).toBe(true);
  });

  test("again is no error, and a drained host stays drained", async () => {
    const host = await addHost(store, "node1");
    await ask(served, "drainHost", at(host.id));
    for (const _ of [1, 2]) {
      const view = await ask<HostView>(served, "revokeHost", at(host.id));
      expect(view).toMatchObject({ revoked: true, state: "drained" });
    }
  });
});

describe("removing", () => {
  test("leaves tombstones, frees the name and ends the session", async () => {
    const host = await addHost(store, "node1", { connection: "c1" });
    const one = await addDeployable(store, host, "a");
    expect((await ask<HostView>(served, "removeHost", at(host.id))).state).toBe("removed");
    expect(await readDeployable(store, host.id, one.id)).toMatchObject({
      present: false,
      hostOnline: false,
      imageGeneration: one.imageGeneration,
      handles: { pf: { fence: 1 } },
    });
    expect(closed).toEqual(["c1"]);
    const again = await create("node1");
    expect(again.host.id).not.toBe(host.id);
    await ask(served, "removeHost", at(host.id));
    expect((await ask<HostView>(served, "getHost", at("node1"))).id).toBe(again.host.id);
  });

  test.each([
    ["held by a claim", heldHandle("p1", "x"), {}],
    ["being cleaned after a tenant", handleOf({ state: "releasing" }), { lastProject: "p1" }],
  ])("is refused while a handle is %s, and nothing changes", async (_, pf, facts) => {
    const host = await addHost(store, "node1", { connection: "c1" });
    await addDeployable(store, host, "a");
    const used = await addDeployable(store, host, "b", { handles: { pf }, ...facts });
    const rows = store.table.items();
    const problem = await refused(served, "removeHost", at(host.id));
    expect(problem).toMatchObject({ code: "IN_USE", status: 409, deployable: used.id });
    expect(store.table.items()).toEqual(rows);
    expect(closed).toEqual([]);
  });

  test("a claim that slips in between is kept, and what was withdrawn comes back", async () => {
    const host = await addHost(store, "node1");
    const one = await addDeployable(store, host, "a");
    const other = await addDeployable(store, host, "b");
    const { table } = store;
    const racing = {
      ...table,
      query: async (wanted: Query) => {
        const page = await table.query(wanted);
        const pf = heldHandle("p1", "x");
        await addDeployable(store, host, "b", { revision: 2, handles: { pf } });
        return page;
      },
    };
    const slow = hostsFunction({
      store: { ...store, table: racing },
      push: { close: async () => undefined },
    });
    const problem = await refused(slow, "removeHost", at(host.id));
    expect(problem).toMatchObject({ code: "IN_USE", deployable: other.id });
    expect(await readDeployable(store, host.id, one.id)).toMatchObject({ hostOnline: true });
    expect(await readDeployable(store, host.id, other.id)).toMatchObject({ hostOnline: true });
    expect((await readHost(store, host.id)).state).toBe("online");
  });

  test("a card that no tenant ever had, or that vanished, is no hindrance", async () => {
    const host = await addHost(store, "node1");
    const pf = handleOf({ state: "releasing" });
    await addDeployable(store, host, "a", { handles: { pf } });
    const gone = { handles: { pf }, lastProject: "p1", present: false };
    await addDeployable(store, host, "b", gone);
    expect((await ask<HostView>(served, "removeHost", at(host.id))).state).toBe("removed");
  });

  test("of an unknown host is refused", async () => {
    expect(await refused(served, "removeHost", at("nobody"))).toMatchObject({
      code: "UNKNOWN_HOST",
    });
  });
});

test("members may do nothing with hosts", async () => {
  const operations = [
    "createHost",
    "listHosts",
    "getHost",
    "removeHost",
    "createJoinToken",
    "drainHost",
    "activateHost",
    "revokeHost",
  ] as const;
  for (const operation of operations) {
    const problem = await refused(served, operation, {
      roles: "member,reader",
      path: { host: "h" },
    });
    expect(problem).toMatchObject({ code: "FORBIDDEN", status: 403, expected: "admin" });
  }
  expect(store.table.items()).toEqual([]);
});
