import { beforeEach, describe, expect, test } from "vitest";
import type { DeviceView } from "#protocol/http/deployables";
import type { ProfileView, QuotaView } from "#protocol/http/settings";
import { applyInventory, type FoundCard } from "#store/inventories";
import { openQuota, takeQuota } from "#store/quotas";
import { devicesFunction } from "../../functions/http/devices.ts";
import { profilesFunction } from "../../functions/http/profiles.ts";
import { quotasFunction } from "../../functions/http/quotas.ts";
import { ask, type HttpFunction, refused, walk } from "./event.ts";
import { addHost, idOf, type TestStore, testStore } from "./rows.ts";

let store: TestStore;
beforeEach(() => {
  store = testStore();
});

const admin = { roles: "admin" };

describe("profiles", () => {
  let served: HttpFunction;
  beforeEach(() => {
    served = profilesFunction({ store });
  });
  const groups = [{ "resources:CUSTOM_FPGA_INTEL_PF": "2", "trait:CUSTOM_HW_INTEL": "required" }];
  const create = async (name: string, key?: string) =>
    await ask<ProfileView>(served, "createProfile", {
      ...admin,
      body: { name, groups },
      ...(key === undefined ? {} : { key }),
    });

  test("are created, read by anyone, listed page by page and deleted", async () => {
    const created: string[] = [];
    for (const name of ["a", "b", "c"]) created.push((await create(name)).id);
    const one = await ask<ProfileView>(served, "getProfile", {
      path: { profile: "a" },
      roles: "reader",
    });
    expect(one).toMatchObject({ name: "a", description: "", groups });
    const listed = await walk<ProfileView>(served, "listProfiles", { limit: 2, roles: "reader" });
    expect(listed.map(({ id }) => id)).toEqual(created.toSorted());
    const gone = { ...admin, path: { profile: "a" } };
    expect(await ask(served, "deleteProfile", gone)).toEqual(one);
    for (const operation of ["getProfile", "deleteProfile"] as const) {
      const problem = await refused(served, operation, gone);
      expect(problem).toMatchObject({ code: "UNKNOWN_PROFILE", status: 404, field: "profile" });
    }
  });

  test("happen once per key; another body under it is a mismatch", async () => {
    const first = await create("a", "k");
    store.pass(1000);
    expect(await create("a", "k")).toEqual(first);
    const other = { ...admin, key: "k", body: { name: "b", groups } };
    expect(await refused(served, "createProfile", other)).toMatchObject({
      code: "IDEMPOTENCY_MISMATCH",
    });
    expect(
      await refused(served, "createProfile", { ...admin, body: { name: "a", groups } }),
    ).toMatchObject({ code: "NAME_TAKEN", status: 409, field: "name" });
  });

  test("two requests with one key at the same time make one profile", async () => {
    const [one, two] = await Promise.all([create("a", "k"), create("a", "k")]);
    expect(two).toEqual(one);
  });

  const pf = { "resources:CUSTOM_FPGA_INTEL_PF": "1" };
  test.each([
    [{ groups: [pf] }, "name"],
    [{ name: "a b", groups: [pf] }, "name"],
    [{ name: "a" }, "groups"],
    [{ name: "a", groups: [] }, "groups"],
    [{ name: "a", groups: [pf], flavor: "x" }, "flavor"],
    [{ name: "a", groups: [{ ...pf, "trait:X": 1 }] }, "groups.0.trait:X"],
    [{ name: "a", groups: [{}] }, "groups.0"],
    [{ name: "a", groups: [pf, { "trait:X": "required" }] }, "groups.1"],
    [{ name: "a", groups: [pf, { "resources:PF": "0" }] }, "groups.1.resources:PF"],
    [{ name: "a", groups: [{ "resources:pf": "1" }] }, "groups.0.resources:pf"],
    [{ name: "a", groups: [{ ...pf, "trait:X": "maybe" }] }, "groups.0.trait:X"],
    [{ name: "a", groups: [{ ...pf, color: "red" }] }, "groups.0.color"],
    [
      { name: "a", groups: [{ ...pf, "accel:bitstream_id": "i", "accel:function_id": "f" }] },
      "groups.0",
    ],
  ])("%j is refused by the name of what is wrong", async (body, field) => {
    const problem = await refused(served, "createProfile", { ...admin, body });
    expect(problem).toMatchObject({ code: "INVALID_REQUEST", field });
  });

  test("a page that is none of this list is refused", async () => {
    const problem = await refused(served, "listProfiles", { query: { after: "x" } });
    expect(problem).toMatchObject({ code: "INVALID_REQUEST", field: "after" });
  });
});

describe("quotas", () => {
  let served: HttpFunction;
  beforeEach(() => {
    served = quotasFunction({ store });
  });
  const set = async (project: string, resourceClass: string, limit: number) =>
    await ask<QuotaView>(served, "setQuota", {
      ...admin,
      path: { project, resourceClass },
      body: { limit },
    });

  test("are set by admins and seen by their own project only", async () => {
    await set("p1", "PF", 4);
    await set("p2", "PF", 9);
    const own = await ask<{ items: QuotaView[] }>(served, "listQuotas", { roles: "reader" });
    expect(own.items).toEqual([{ project: "p1", resourceClass: "PF", limit: 4, used: 0, left: 4 }]);
    const other = await ask<{ items: QuotaView[] }>(served, "getQuotas", {
      ...admin,
      path: { project: "p2" },
    });
    expect(other.items.map(({ limit }) => limit)).toEqual([9]);
    const problem = await refused(served, "getQuotas", { path: { project: "p2" } });
    expect(problem).toMatchObject({ code: "FORBIDDEN" });
  });

  test("a limit below what is held leaves claims alone and nothing for new ones", async () => {
    await openQuota(store, { project: "p1", resourceClass: "PF" }, 8);
    await store.table.write([takeQuota("p1", "PF", 5)]);
    expect(await set("p1", "PF", 3)).toEqual({
      project: "p1",
      resourceClass: "PF",
      limit: 3,
      used: 5,
      left: -2,
    });
    expect(await set("p1", "PF", 3)).toMatchObject({ limit: 3, used: 5, left: -2 });
    expect(await set("p1", "PF", 10)).toMatchObject({ limit: 10, used: 5, left: 5 });
  });

  test("are listed page by page", async () => {
    for (const name of ["A", "B", "C", "D", "E"]) await set("p1", name, 1);
    const found = await walk<QuotaView>(served, "listQuotas", { limit: 2 });
    expect(found.map(({ resourceClass }) => resourceClass)).toEqual(["A", "B", "C", "D", "E"]);
    const foreign = await refused(served, "listQuotas", { query: { after: "x" } });
    expect(foreign).toMatchObject({ code: "INVALID_REQUEST", field: "after" });
  });

  test("a page of another project's list is refused", async () => {
    for (const name of ["A", "B"]) await set("p2", name, 1);
    const { next } = await ask<{ next: string }>(served, "getQuotas", {
      ...admin,
      path: { project: "p2" },
      query: { limit: "1" },
    });
    const problem = await refused(served, "listQuotas", { query: { after: next } });
    expect(problem).toMatchObject({ code: "INVALID_REQUEST", field: "after" });
  });

  test.each([
    [{ project: "a/b", resourceClass: "PF" }, { limit: 1 }, "project"],
    [{ project: "system", resourceClass: "PF" }, { limit: 1 }, "project"],
    [{ project: "p1", resourceClass: "pf" }, { limit: 1 }, "resourceClass"],
    [{ project: "p1", resourceClass: "P#F" }, { limit: 1 }, "resourceClass"],
    [{ project: "p1", resourceClass: "PF" }, {}, "limit"],
    [{ project: "p1", resourceClass: "PF" }, { limit: -1 }, "limit"],
    [{ project: "p1", resourceClass: "PF" }, { limit: 1.5 }, "limit"],
    [{ project: "p1", resourceClass: "PF" }, { limit: 1_000_001 }, "limit"],
    [{ project: "p1", resourceClass: "PF" }, { limit: 1, used: 0 }, "used"],
  ])("%j with %j is refused by the name of what is wrong", async (path, body, field) => {
    const problem = await refused(served, "setQuota", { ...admin, path, body });
    expect(problem).toMatchObject({ code: "INVALID_REQUEST", field });
    expect(store.table.items()).toEqual([]);
  });
});

describe("devices", () => {
  let served: HttpFunction;
  beforeEach(() => {
    served = devicesFunction({ store });
  });
  const card = (name: string): FoundCard => ({
    id: idOf(name),
    cardId: name,
    kind: "FPGA",
    vendor: "intel",
    product: "n3000",
    pciVendor: "8086",
    pciDevice: "0b30",
    address: "0000:3b:00.0",
    driver: "simulated",
    layout: "whole",
    deployables: [],
  });

  test("are listed page by page, of one host or of all, and found by id", async () => {
    const [one, two] = [await addHost(store, "node1"), await addHost(store, "node2")];
    await applyInventory(store, one, ["a", "b", "c"].map(card));
    await applyInventory(store, two, [{ ...card("d"), numaNode: 1 }]);
    const all = await walk<DeviceView>(served, "listDevices", { ...admin, limit: 1 });
    expect(all.map(({ cardId }) => cardId).toSorted()).toEqual(["a", "b", "c", "d"]);
    const own = { ...admin, query: { host: two.id }, limit: 10 };
    const [found, ...others] = await walk<DeviceView>(served, "listDevices", own);
    expect(others).toEqual([]);
    expect(found).toMatchObject({ cardId: "d", numaNode: 1, hostName: "node2", present: true });
    expect(await ask(served, "getDevice", { ...admin, path: { device: idOf("d") } })).toEqual(
      found,
    );
  });

  test("that are unknown are refused, and so are bad queries", async () => {
    const problem = await refused(served, "getDevice", { ...admin, path: { device: idOf("x") } });
    expect(problem).toMatchObject({ code: "UNKNOWN_DEVICE", status: 404, field: "device" });
    for (const [query, field] of [
      [{ host: "node1" }, "host"],
      [{ after: "x" }, "after"],
      [{ vendor: "intel" }, "vendor"],
    ] as const) {
      const bad = await refused(served, "listDevices", { ...admin, query });
      expect(bad).toMatchObject({ code: "INVALID_REQUEST", field });
    }
  });
});
