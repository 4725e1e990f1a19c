import { beforeEach, describe, expect, test } from "vitest";
import type { Claim } from "#domain/claim";
import type { EventView } from "#protocol/http/settings";
import { recordEvents } from "#store/events";
import { rowOf } from "#store/rows";
import { eventsFunction } from "../../functions/http/events.ts";
import { ask, type HttpFunction, refused, walk } from "./event.ts";
import { idOf, start, type TestStore, testStore } from "./rows.ts";

let store: TestStore;
let served: HttpFunction;
let serial: number;

beforeEach(() => {
  store = testStore();
  served = eventsFunction({ store });
  serial = 0;
});

const key = { pk: "x", sk: "x" };

/** Records what the table's stream would say: a row of this type came into being. */
async function happened(type: string, value: object, at = start): Promise<void> {
  serial += 1;
  const id = `e${String(serial).padStart(3, "0")}`;
  await recordEvents(store, { id, at, before: undefined, after: rowOf(key, type, value) });
}

function claimOf(name: string, facts: Partial<Claim> = {}): Claim {
  return {
    id: idOf(name),
    project: "p1",
    user: "u1",
    state: "BindStarted",
    resourceClass: "PF",
    handle: "pf",
    createdAt: start,
    updatedAt: start,
    ...facts,
  };
}

const hostOf = (name: string) => ({ id: idOf(name), name, state: "joined" });
const list = async (request: Parameters<typeof ask>[2] = {}) =>
  (await ask<{ items: EventView[]; next?: string }>(served, "listEvents", request)).items;
const admin = { roles: "admin", project: "ops" };

test("a project sees its own events, newest first, and nobody else's", async () => {
  await happened("claim", claimOf("a"), start);
  await happened("claim", claimOf("b"), start + 2000);
  await happened("claim", claimOf("c", { project: "p2" }), start + 1000);
  await happened("host", hostOf("node1"), start + 3000);
  const own = await list({ roles: "reader" });
  expect(own.map(({ claim }) => claim)).toEqual([idOf("b"), idOf("a")]);
  expect(own[0]).toMatchObject({ kind: "claim.granted", project: "p1" });
  expect(Date.parse(own[0]?.at ?? "")).toBe(start + 2000);
});

test("an admin sees the system's and those of the own project, in one order", async () => {
  await happened("host", hostOf("node1"), start);
  await happened("claim", claimOf("a", { project: "ops" }), start + 1000);
  await happened("host", hostOf("node2"), start + 2000);
  await happened("claim", claimOf("b"), start + 3000);
  expect((await list(admin)).map(({ kind }) => kind)).toEqual([
    "host.created",
    "claim.granted",
    "host.created",
  ]);
});

test.each([1, 2, 3, 50])("pages of %i give every event once, in order", async (limit) => {
  for (let index = 0; index < 7; index += 1) {
    await happened("host", hostOf(`node${index}`), start + index * 10);
    await happened("claim", claimOf(`c${index}`, { project: "ops" }), start + index * 10);
  }
  const found = await walk<EventView>(served, "listEvents", { ...admin, limit });
  expect(found).toHaveLength(14);
  expect(new Set(found.map(({ id }) => id)).size).toBe(14);
  const times = found.map(({ at }) => at);
  expect(times).toEqual(times.toSorted().toReversed());
  const own = await walk<EventView>(served, "listEvents", { project: "ops", limit });
  expect(own).toHaveLength(7);
});

describe("of one thing", () => {
  beforeEach(async () => {
    const where = { deployable: idOf("d"), host: idOf("node1"), image: idOf("i") };
    await happened("claim", claimOf("a", where));
    await happened("claim", claimOf("b", { project: "p2", ...where }));
    await happened("image", { id: idOf("i"), project: "p1", state: "active" });
    await happened("host", hostOf("node1"));
  });

  test("a project sees only what is its own", async () => {
    expect((await list({ query: { claim: idOf("a") } })).length).toBe(1);
    expect(await list({ query: { claim: idOf("b") } })).toEqual([]);
    expect((await list({ query: { deployable: idOf("d") } })).length).toBe(1);
    expect((await list({ query: { image: idOf("i") } })).length).toBe(1);
    expect(await list({ query: { host: idOf("node1") } })).toEqual([]);
  });

  test("an admin sees what happened to it in every project", async () => {
    expect((await list({ ...admin, query: { claim: idOf("b") } })).length).toBe(1);
    expect((await list({ ...admin, query: { deployable: idOf("d") } })).length).toBe(2);
    expect((await list({ ...admin, query: { host: idOf("node1") } })).length).toBe(1);
    expect(await list({ ...admin, query: { image: idOf("nobody's") } })).toEqual([]);
  });

  test("several conditions must all hold", async () => {
    const both = { claim: idOf("a"), deployable: idOf("d") };
    expect((await list({ query: both })).length).toBe(1);
    expect(await list({ query: { ...both, deployable: idOf("other") } })).toEqual([]);
    expect(await list({ query: { ...both, host: idOf("other") } })).toEqual([]);
  });
});

test("since ends the list at a moment, also over pages", async () => {
  for (let index = 0; index < 9; index += 1) {
    const where = { deployable: idOf("d") };
    await happened("claim", claimOf(`c${index}`, where), start + index * 1000);
  }
  const since = new Date(start + 4000).toISOString();
  for (const query of [{ since }, { since, deployable: idOf("d") }]) {
    for (const limit of [1, 2, 5, 9]) {
      const found = await walk<EventView>(served, "listEvents", { query, limit });
      expect(found.map(({ claim }) => claim)).toEqual(
        [8, 7, 6, 5, 4].map((index) => idOf(`c${index}`)),
      );
    }
  }
  const asAdmin = { roles: "admin", query: { since }, limit: 2 };
  expect(await walk(served, "listEvents", asAdmin)).toHaveLength(5);
});

test.each([
  [{ since: "yesterday" }, "since"],
  [{ claim: "x" }, "claim"],
  [{ host: "node1" }, "host"],
  [{ kind: "host.created" }, "kind"],
  [{ limit: "0" }, "limit"],
  [{ after: "x" }, "after"],
])("the query %j is refused by the name of what is wrong", async (query, field) => {
  for (const roles of ["reader", "admin"]) {
    const problem = await refused(served, "listEvents", { roles, query });
    expect(problem).toMatchObject({ code: "INVALID_REQUEST", field });
  }
});

test("a page of another project's events is refused", async () => {
  for (const name of ["a", "b"]) await happened("claim", claimOf(name));
  const first = await ask<{ next: string }>(served, "listEvents", { query: { limit: "1" } });
  const stolen = { project: "p2", query: { after: first.next } };
  expect(await refused(served, "listEvents", stolen)).toMatchObject({ field: "after" });
});
