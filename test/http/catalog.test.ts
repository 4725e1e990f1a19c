import { beforeEach, expect, test } from "vitest";
import { imageTraits } from "#domain/traits";
import { catalogFunction } from "../../functions/http/catalog.ts";
import type { ClassCount, TraitCount } from "../../functions/http/views/catalog.ts";
import { ask, type HttpFunction, refused } from "./event.ts";
import {
  addDeployable,
  addHost,
  addImageRow,
  handleOf,
  heldHandle,
  idOf,
  type TestStore,
  testStore,
} from "./rows.ts";

let store: TestStore;
let served: HttpFunction;
beforeEach(() => {
  store = testStore();
  served = catalogFunction({ store });
});

const reader = { roles: "reader" };
const traits = async (query?: Record<string, string>) => {
  const request = { ...reader, ...(query === undefined ? {} : { query }) };
  const { items } = await ask<{ items: TraitCount[] }>(served, "listTraits", request);
  return new Map(items.map((one) => [one.name, one]));
};
const classes = async (query?: Record<string, string>) => {
  const request = { ...reader, ...(query === undefined ? {} : { query }) };
  return (await ask<{ items: ClassCount[] }>(served, "listResourceClasses", request)).items;
};

test("an empty fleet has no traits and no classes", async () => {
  expect([...(await traits()).keys()]).toEqual([]);
  expect(await classes()).toEqual([]);
});

test("a trait counts each deployable that has or could have it, and those on offer", async () => {
  const host = await addHost(store, "node1");
  await addDeployable(store, host, "a");
  await addDeployable(store, host, "b", { enabled: false });
  await addDeployable(store, host, "c", { interfaceId: idOf("other") });
  await addImageRow(store, "aes");
  const found = await traits();
  expect(found.get("CUSTOM_FPGA")).toEqual({ name: "CUSTOM_FPGA", deployables: 3, free: 2 });
  expect(found.get("CUSTOM_ACCELERATOR_CRYPTO")).toMatchObject({ deployables: 2, free: 1 });
  expect([...found.keys()]).toEqual([...found.keys()].toSorted());
});

test("private images never show, neither as what could be nor as what is loaded", async () => {
  const host = await addHost(store, "node1");
  const secret = await addImageRow(store, "secret", { visibility: "private", type: "secret" });
  const { id, functionId, sha256, type } = secret;
  const loaded = { functionId: functionId ?? null, imageId: id, sha256 };
  await addDeployable(store, host, "a", { loaded, loadedType: type });
  const names = [...(await traits()).keys()];
  for (const trait of imageTraits({ functionId, type })) expect(names).not.toContain(trait);
});

test("a held deployable shows only what its claim wants", async () => {
  const host = await addHost(store, "node1");
  await addImageRow(store, "aes");
  await addDeployable(store, host, "a", { handles: { pf: heldHandle("p1", "x") } });
  expect((await traits()).get("CUSTOM_ACCELERATOR_CRYPTO")).toBeUndefined();
});

test("classes count handles: in all, on offer, held; an unshared deployable is one", async () => {
  const host = await addHost(store, "node1");
  const shared = { sharing: "project", resourceClass: "VF" } as const;
  const handles = {
    vf0: handleOf({ type: "VF" }),
    vf1: heldHandle("p1", "x", { type: "VF" }),
    vf2: handleOf({ type: "VF", attachable: false }),
    vf3: handleOf({ type: "VF" }),
  };
  await addDeployable(store, host, "a", { ...shared, handles });
  await addDeployable(store, host, "b", {
    resourceClass: "PF",
    handles: { p0: handleOf(), p1: handleOf() },
  });
  await addDeployable(store, host, "c", { resourceClass: "PF", hostOnline: false });
  expect(await classes()).toEqual([
    { name: "PF", total: 2, free: 1, held: 0 },
    { name: "VF", total: 4, free: 2, held: 1 },
  ]);
});

test("a card that vanished counts only while a claim holds it", async () => {
  const host = await addHost(store, "node1");
  await addDeployable(store, host, "a", { present: false });
  await addDeployable(store, host, "b", { present: false, handles: { pf: heldHandle("p1", "x") } });
  expect(await classes()).toEqual([{ name: "CUSTOM_FPGA_INTEL_PF", total: 1, free: 0, held: 1 }]);
  expect((await traits()).get("CUSTOM_FPGA")).toMatchObject({ deployables: 1, free: 0 });
});

test("both can be asked for one host; an unknown one is refused", async () => {
  const [one, two] = [await addHost(store, "node1"), await addHost(store, "node2")];
  await addDeployable(store, one, "a");
  await addDeployable(store, two, "b", { resourceClass: "PF" });
  expect((await classes({ host: two.id })).map(({ name }) => name)).toEqual(["PF"]);
  expect((await traits({ host: one.id })).get("CUSTOM_FPGA")).toMatchObject({ deployables: 1 });
  for (const operation of ["listTraits", "listResourceClasses"] as const) {
    const unknown = { ...reader, query: { host: idOf("nobody") } };
    expect(await refused(served, operation, unknown)).toMatchObject({ code: "UNKNOWN_HOST" });
    const paged = await refused(served, operation, { ...reader, query: { limit: "1" } });
    expect(paged).toMatchObject({ code: "INVALID_REQUEST", field: "limit" });
  }
});

test("a fleet of several pages is counted whole", async () => {
  const host = await addHost(store, "node1");
  await Promise.all(
    Array.from({ length: 450 }, async (_, index) => await addDeployable(store, host, `d${index}`)),
  );
  expect(await classes()).toEqual([
    { name: "CUSTOM_FPGA_INTEL_PF", total: 450, free: 450, held: 0 },
  ]);
});
