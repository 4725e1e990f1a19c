import { beforeEach, describe, expect, test } from "vitest";
import { advance } from "#domain/card";
import type { Deployable } from "#domain/deployable";
import type { CardOperationView } from "#protocol/http/cards";
import type { DeployableView } from "#protocol/http/deployables";
import { endOperation } from "#store/cards";
import { changeDeployable } from "#store/deployables";
import { deviceKey } from "#store/keys";
import { rowOf } from "#store/rows";
import { deployablesFunction } from "../../functions/http/deployables.ts";
import { devicesFunction } from "../../functions/http/devices.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import { ask, type HttpFunction, type Request, refused } from "./event.ts";
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
let card: Deployable;

beforeEach(async () => {
  store = testStore();
  served = devicesFunction({ store });
  const host = await addHost(store, "node1");
  card = await addDeployable(store, host, "port0");
  const device = {
    id: card.device,
    host: card.host,
    hostName: card.hostName,
    cardId: card.cardId,
    kind: "FPGA",
    vendor: "intel",
    product: "n3000",
    pciVendor: "8086",
    pciDevice: "0b30",
    address: card.address,
    driver: "dfl",
    layout: "regions",
    present: true,
    deployables: [card.id],
    updatedAt: start,
  };
  // deviceRow() is the inventory's own: the list by id is all that the routes need.
  const key = deviceKey(device.host, device.id);
  const shard = Number.parseInt(device.id.slice(0, 8), 16) % 4;
  const listed = { gsi2pk: `DEVICES#${shard}`, gsi2sk: device.id };
  await store.table.write([{ kind: "put", item: rowOf(key, "device", device, listed) }]);
});

const admin = { roles: "admin", project: "ops" };
const at = (body: unknown, key?: string): Request => ({
  ...admin,
  path: { device: card.device },
  body,
  ...(key === undefined ? {} : { key }),
});
const layout = { kind: "layout", layout: "regions", vfs: 1 };
const begin = async (body: unknown = layout, key?: string) =>
  await ask<CardOperationView>(served, "operateDevice", at(body, key));
const look = async (operation: string) =>
  await ask<CardOperationView>(served, "getDeviceOperation", {
    ...admin,
    path: { device: card.device, operation },
  });

describe("an operation on a card", () => {
  test("is accepted and can be looked at until and after its end", async () => {
    const begun = await begin();
    expect(begun).toMatchObject({
      ...layout,
      device: card.device,
      host: card.host,
      hostName: "node1",
      state: "pending",
    });
    expect(Date.parse(begun.requestedAt)).toBe(start);
    expect(await look(begun.id)).toEqual(begun);
    const error = { code: "IN_USE", message: "held" };
    const named = { id: begun.id, host: begun.host, device: begun.device };
    await endOperation(store, named, (one) => advance(one, "fail", { now: start + 1, error }));
    expect(await look(begun.id)).toMatchObject({ id: begun.id, state: "failed", error });
  });

  test("takes the card's deployables off offer and says why", async () => {
    await begin();
    const deployables = deployablesFunction({
      store,
      catalogue: new Catalogue(store),
      hosts: new Map(),
    });
    const path = { deployable: card.id };
    const view = await ask<DeployableView>(deployables, "getDeployable", { ...admin, path });
    expect(view).toMatchObject({
      state: "disabled",
      reason: "an operation holds its card",
      offered: false,
      notOffered: ["an operation holds its card"],
    });
  });

  test("asked for again with its key is the same one, over or not; another body is not", async () => {
    const begun = await begin(layout, "k");
    expect(await begin(layout, "k")).toEqual(begun);
    const named = { id: begun.id, host: begun.host, device: begun.device };
    await endOperation(store, named, (one) => advance(one, "succeed", { now: start }));
    expect(await begin(layout, "k")).toMatchObject({ id: begun.id, state: "succeeded" });
    expect(await refused(served, "operateDevice", at({ kind: "rescan" }, "k"))).toMatchObject({
      code: "IDEMPOTENCY_MISMATCH",
    });
  });

  test("asked for twice at once with one key is one", async () => {
    const [one, two] = await Promise.all([begin(layout, "k"), begin(layout, "k")]);
    expect(two).toEqual(one);
  });
});

describe("is refused", () => {
  test.each([
    ["kind", {}],
    ["kind", { kind: "reset" }],
    ["layout", { kind: "layout" }],
    ["layout", { kind: "layout", layout: "vf" }],
    ["layout", { kind: "rebind", layout: "pf" }],
    ["vfs", { kind: "layout", layout: "vfs" }],
    ["vfs", { kind: "layout", layout: "vfs", vfs: 0 }],
    ["vfs", { kind: "layout", layout: "vfs", vfs: 65 }],
    ["vfs", { kind: "layout", layout: "pf", vfs: 2 }],
    ["speed", { kind: "rebind", speed: 1 }],
  ])("with field %s for %j", async (field, body) => {
    expect(await refused(served, "operateDevice", at(body))).toMatchObject({
      code: "INVALID_REQUEST",
      field,
    });
  });

  test("while a claim holds a handle, and names deployable, handle and claim", async () => {
    await changeDeployable(store, card, (one) => ({
      ...one,
      handles: { pf: heldHandle("p1", idOf("claim")) },
      revision: one.revision + 1,
    }));
    expect(await refused(served, "operateDevice", at(layout))).toMatchObject({
      code: "IN_USE",
      status: 409,
      deployable: card.id,
      handle: "pf",
      claim: idOf("claim"),
    });
  });

  test("while a handle is being cleaned", async () => {
    await changeDeployable(store, card, (one) => ({
      ...one,
      handles: { pf: handleOf({ state: "releasing" }) },
      revision: one.revision + 1,
    }));
    expect(await refused(served, "operateDevice", at(layout))).toMatchObject({
      code: "WRONG_STATE",
      deployable: card.id,
    });
  });

  test("while another operation holds the card, which it names", async () => {
    const begun = await begin();
    expect(await refused(served, "operateDevice", at({ kind: "rescan" }))).toMatchObject({
      code: "WRONG_STATE",
      operation: begun.id,
    });
  });

  test("on a silent host", async () => {
    store.pass(121_000);
    expect(await refused(served, "operateDevice", at(layout))).toMatchObject({
      code: "HOST_OFFLINE",
      status: 409,
    });
  });

  test("for a card that nobody knows, and so is the look at an operation it never had", async () => {
    const path = { device: idOf("nothing") };
    expect(await refused(served, "operateDevice", { ...admin, path, body: layout })).toMatchObject({
      code: "UNKNOWN_DEVICE",
      field: "device",
    });
    for (const operation of ["x", idOf("nothing")]) {
      const place = { ...admin, path: { device: card.device, operation } };
      expect(await refused(served, "getDeviceOperation", place)).toMatchObject({
        code: "UNKNOWN_OPERATION",
        field: "operation",
      });
    }
  });

  test("to everyone but admins", async () => {
    for (const roles of ["reader", "member"]) {
      expect(await refused(served, "operateDevice", { ...at(layout), roles })).toMatchObject({
        code: "FORBIDDEN",
      });
    }
  });
});
