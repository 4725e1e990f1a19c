import { describe, expect, it } from "vitest";
import type { Host } from "#domain/host";
import { closeConnection, nameSession, openConnection, readConnection } from "#store/connections";
import {
  changeHost,
  consumeToken,
  createHost,
  findHost,
  freeHostName,
  hostOfToken,
  joinTokenMs,
  joinTokenRow,
  listHosts,
  readBeat,
  readHost,
  replaceBeat,
} from "#store/hosts";
import { connectionKey } from "#store/keys";
import { memoryTable } from "#store/memory-table";
import { createProfile, deleteProfile, listProfiles, readProfile, secret } from "#store/named";
import type { Table } from "#store/table";
import { uuid } from "../domain/builders.ts";
import { newStore, refusal, startedAt } from "./support.ts";

const host: Host = {
  id: uuid(1),
  name: "node-1",
  state: "joined",
  revoked: false,
  createdAt: 0,
  updatedAt: 0,
  revision: 0,
};

/** A table that answers every write with a conflict, and reads from `inner`. */
function busy(inner: Table = memoryTable()): Table {
  const write: Table["write"] = async (writes) => ({
    ok: false,
    failures: writes.map(() => ({ reason: "conflict" })),
  });
  return { ...inner, write };
}

describe("a host", () => {
  it("is found by id and by name, with a heartbeat that says offline", async () => {
    const store = newStore();
    await createHost(store, host, []);
    expect(await readHost(store, host.id)).toEqual(host);
    expect(await findHost(store, "node-1")).toEqual(host);
    expect(await findHost(store, host.id)).toEqual(host);
    expect(await readBeat(store, host.id)).toMatchObject({ state: "offline", epoch: 0, seenAt: 0 });
  });

  it("that nobody knows is UNKNOWN_HOST", async () => {
    const store = newStore();
    expect(await refusal(readHost(store, uuid(9)))).toBe("UNKNOWN_HOST");
    expect(await refusal(findHost(store, "nobody"))).toBe("UNKNOWN_HOST");
    expect(await refusal(readBeat(store, uuid(9)))).toBe("UNKNOWN_HOST");
    expect(await refusal(changeHost(store, uuid(9), (one) => one))).toBe("UNKNOWN_HOST");
  });

  it("keeps its name to itself until it is given up", async () => {
    const store = newStore();
    await createHost(store, host, []);
    const other = { ...host, id: uuid(2) };
    expect(await refusal(createHost(store, other, []))).toBe("NAME_TAKEN");
    expect(await refusal(readHost(store, other.id))).toBe("UNKNOWN_HOST");
    await store.table.write([freeHostName("node-1")]);
    await createHost(store, other, []);
    expect((await findHost(store, "node-1")).id).toBe(other.id);
  });

  it("is a conflict, not a taken name, when another transaction holds the row", async () => {
    expect(await refusal(createHost(newStore(busy()), host, []))).toBe("CONFLICT");
  });

  it("changes by every one of many changes at once", async () => {
    const store = newStore();
    await createHost(store, { ...host, alarm: "" }, []);
    const add = async (letter: string) =>
      await changeHost(store, host.id, (one) => ({ ...one, alarm: `${one.alarm}${letter}` }));
    await Promise.all(["a", "b", "c"].map(add));
    const after = await readHost(store, host.id);
    for (const letter of ["a", "b", "c"]) expect(after.alarm).toContain(letter);
    expect(after.revision).toBe(3);
  });

  it("is written by no change that changes nothing, and TRY_AGAIN after six lost races", async () => {
    const inner = memoryTable();
    await createHost(newStore(inner), host, []);
    const store = newStore(busy(inner));
    expect(await changeHost(store, host.id, (one) => one)).toEqual(host);
    expect(await refusal(changeHost(store, host.id, (one) => ({ ...one })))).toBe("TRY_AGAIN");
  });

  it("is listed by name until it is removed", async () => {
    const store = newStore();
    for (const [index, name] of ["b", "a", "c"].entries()) {
      await createHost(store, { ...host, id: uuid(index), name }, []);
    }
    await changeHost(store, uuid(2), (one) => ({ ...one, state: "removed" }));
    const first = await listHosts(store, { limit: 1 });
    expect(first.items.map((one) => one.name)).toEqual(["a"]);
    const rest = await listHosts(store, { after: first.next });
    expect(rest.items.map((one) => one.name)).toEqual(["b"]);
    expect(rest.next).toBeUndefined();
  });
});

describe("a heartbeat", () => {
  it("is replaced only while nobody opened a newer session", async () => {
    const store = newStore();
    await createHost(store, host, []);
    const before = await readBeat(store, host.id);
    const first = { ...before, state: "online" as const, epoch: 1, seenAt: store.now() };
    const both = [replaceBeat(store, before, first), replaceBeat(store, before, { ...first })];
    expect((await Promise.all(both)).filter(Boolean)).toHaveLength(1);
    expect(await replaceBeat(store, before, { ...first, seenAt: 5 })).toBe(false);
    expect(await readBeat(store, host.id)).toMatchObject({ epoch: 1, seenAt: startedAt });
  });
});

describe("a join token", () => {
  it("works once within its hour", async () => {
    const store = newStore();
    await store.table.write([joinTokenRow("digest", host.id, store.now())]);
    expect(await hostOfToken(store, "digest")).toBe(host.id);
    const uses = [
      store.table.write([consumeToken("digest")]),
      store.table.write([consumeToken("digest")]),
    ];
    expect((await Promise.all(uses)).map((one) => one.ok)).toEqual([true, false]);
    expect(await refusal(hostOfToken(store, "digest"))).toBe("JOIN_TOKEN_USED");
  });

  it("is refused when it is unknown or late", async () => {
    const store = newStore();
    expect(await refusal(hostOfToken(store, "other"))).toBe("JOIN_TOKEN_INVALID");
    await store.table.write([joinTokenRow("digest", host.id, store.now())]);
    store.clock.now += joinTokenMs + 1000;
    expect(await refusal(hostOfToken(store, "digest"))).toBe("JOIN_TOKEN_EXPIRED");
    expect((await store.table.write([consumeToken("unknown")])).ok).toBe(false);
  });
});

describe("a connection", () => {
  const connection = { id: "c1", host: host.id, publicKey: "pem" };

  it("is known from its opening to its closing, with the session it names", async () => {
    const store = newStore();
    await openConnection(store, connection);
    expect(await readConnection(store, "c1")).toEqual({ ...connection, epoch: 0 });
    await nameSession(store, "c1", 4);
    expect(await readConnection(store, "c1")).toEqual({ ...connection, epoch: 4 });
    await closeConnection(store, "c1");
    expect(await refusal(readConnection(store, "c1"))).toBe("UNAUTHENTICATED");
  });

  it("is read cheaply for a session that it knows, and surely for any other", async () => {
    const inner = memoryTable();
    const store = newStore(inner);
    await openConnection(store, connection);
    const old = await inner.get(connectionKey("c1"));
    await nameSession(store, "c1", 4);
    const reads: boolean[] = [];
    const get: Table["get"] = async (key, options) => {
      reads.push(options?.consistent === true);
      return options?.consistent === true ? await inner.get(key) : old;
    };
    const lagging = newStore({ ...inner, get });
    expect(await readConnection(lagging, "c1", 4)).toMatchObject({ epoch: 4 });
    expect(await readConnection(lagging, "c1")).toMatchObject({ epoch: 4 });
    expect(await readConnection(lagging, "c1", 0)).toMatchObject({ epoch: 0 });
    expect(reads).toEqual([false, true, true, false]);
    await closeConnection(store, "c1");
    expect(await refusal(readConnection(lagging, "c1", 4))).toBe("UNAUTHENTICATED");
  });

  it("is not made by naming a session on a socket that is closed", async () => {
    const store = newStore();
    await nameSession(store, "c1", 4);
    expect(await refusal(readConnection(store, "c1"))).toBe("UNAUTHENTICATED");
  });

  it("is absent once it has expired, although its row is still there", async () => {
    const store = newStore();
    await openConnection(store, connection);
    store.clock.now += 3 * 3_600_000;
    expect(await refusal(readConnection(store, "c1"))).toBe("UNAUTHENTICATED");
  });
});

describe("a profile", () => {
  const profile = { id: uuid(5), name: "gold", description: "", groups: [], createdAt: 0 };

  it("is found by its name, which is taken", async () => {
    const store = newStore();
    await createProfile(store, profile, []);
    expect(await readProfile(store, "gold")).toEqual(profile);
    expect(await refusal(createProfile(store, profile, []))).toBe("NAME_TAKEN");
    expect((await listProfiles(store, {})).items).toEqual([profile]);
    await deleteProfile(store, profile);
    expect(await refusal(readProfile(store, "gold"))).toBe("UNKNOWN_PROFILE");
    expect(await refusal(createProfile(newStore(busy()), profile, []))).toBe("CONFLICT");
  });
});

describe("a secret of the service", () => {
  it("is made once, whoever asks first", async () => {
    const store = newStore();
    let made = 0;
    const make = () => `secret-${(made += 1)}`;
    const asked = await Promise.all(
      [1, 2, 3].map(async () => await secret(store, "permits", make)),
    );
    expect(new Set(asked).size).toBe(1);
    expect(await secret(store, "permits", make)).toBe(asked[0]);
    expect(await secret(store, "other", make)).not.toBe(asked[0]);
  });
});
