import { beforeEach, describe, expect, test } from "vitest";
import type { Deployable } from "#domain/deployable";
import type { OperationView } from "#protocol/http/deployables";
import { type Progress, progressRow } from "#store/receipts";
import { operationsFunction } from "../../functions/http/operations.ts";
import { ask, type HttpFunction, refused } from "./event.ts";
import {
  addDeployable,
  addHost,
  heldHandle,
  idOf,
  start,
  type TestStore,
  testStore,
} from "./rows.ts";

let store: TestStore;
let served: HttpFunction;
beforeEach(() => {
  store = testStore();
  served = operationsFunction({ store });
});

const claim = idOf("claim");
const held = { pf: heldHandle("p1", claim) };

async function deployable(facts: Partial<Deployable> = {}): Promise<Deployable> {
  const host = await addHost(store, "node1");
  return await addDeployable(store, host, "a", { handles: held, ...facts });
}

async function progress(of: Deployable, facts: Partial<Progress> = {}): Promise<Progress> {
  const known: Progress = {
    deployable: of.id,
    generation: of.imageGeneration,
    kind: "program",
    image: idOf("image"),
    claim,
    project: "p1",
    phase: "programming",
    percent: 40,
    state: "running",
    startedAt: start - 5000,
    updatedAt: start - 1000,
    ...facts,
  };
  await store.table.write([{ kind: "put", item: progressRow(known) }]);
  return known;
}

const pending = { imageGeneration: 5 };
const at = (of: Deployable, generation: number, project = "p1") => ({
  project,
  roles: "reader",
  path: { operation: `${of.id}.${generation}` },
});
const get = async (of: Deployable, generation: number, project?: string) =>
  await ask<OperationView>(served, "getOperation", at(of, generation, project));

describe("the newest generation", () => {
  test("runs until the deployable says how it ended, whatever the last progress was", async () => {
    const one = await deployable(pending);
    await progress(one, { state: "failed", phase: "failed", error: { code: "X", message: "x" } });
    const view = await get(one, 5);
    expect(view).toMatchObject({ state: "running", percent: 40, image: idOf("image"), claim });
    expect(view.error).toBeUndefined();
    expect(Date.parse(view.startedAt)).toBe(start - 5000);
  });

  test("says what holds it up while it runs", async () => {
    const one = await deployable(pending);
    const error = { code: "IN_USE", message: "/dev/dfl-port.0 is open by sleep (42)" };
    await progress(one, { state: "running", phase: "programming", error });
    expect(await get(one, 5)).toMatchObject({ state: "running", phase: "programming", error });
  });

  test("of which nothing was reported yet shows what is wished", async () => {
    const image = {
      id: idOf("image"),
      sha256: "a".repeat(64),
      functionId: idOf("f"),
      type: "crypto",
      keep: true,
    };
    const one = await deployable({ ...pending, wish: { image } });
    expect(await get(one, 5)).toMatchObject({
      id: `${one.id}.5`,
      kind: "program",
      image: image.id,
      claim,
      phase: "idle",
      percent: 0,
      state: "running",
    });
  });

  test("that scrubs says so, with and without progress", async () => {
    const one = await deployable({
      ...pending,
      wish: { scrub: "erase" },
      handles: {},
      lastProject: "p1",
    });
    expect(await get(one, 5)).toMatchObject({ kind: "scrub", state: "running" });
    await progress(one, { kind: "scrub", project: undefined, claim: undefined, phase: "erasing" });
    expect(await get(one, 5)).toMatchObject({ kind: "scrub", phase: "erasing" });
  });

  test("has succeeded when the deployable says so", async () => {
    const one = await deployable({ ...pending, outcome: { generation: 5, result: "ready" } });
    await progress(one);
    expect(await get(one, 5)).toMatchObject({ state: "succeeded", phase: "ready", percent: 100 });
  });

  test("has failed with the deployable's reason", async () => {
    const error = { code: "READ_BACK_MISMATCH", message: "another image" };
    const one = await deployable({
      ...pending,
      outcome: { generation: 5, result: "failed", error },
    });
    await progress(one, { percent: 90 });
    expect(await get(one, 5)).toMatchObject({ state: "failed", percent: 90, error });
  });

  test("has failed with the last report's reason when the deployable has none", async () => {
    const error = { code: "PROGRAM_FAILED", message: "EIO" };
    const one = await deployable({ ...pending, outcome: { generation: 5, result: "failed" } });
    await progress(one, { error, state: "failed", phase: "failed" });
    expect(await get(one, 5)).toMatchObject({ state: "failed", error });
  });
});

describe("an older generation", () => {
  test.each([
    [{ state: "succeeded", phase: "ready", percent: 100 }, "succeeded"],
    [{ state: "failed", error: { code: "DISK_FULL", message: "full" } }, "failed"],
    [{ state: "running" }, "superseded"],
  ] as const)("that ended as %j shows %s", async (facts, state) => {
    const one = await deployable();
    await progress(one, { generation: 2, ...facts });
    const view = await get(one, 2);
    expect(view.state).toBe(state);
    expect(view.error).toEqual("error" in facts ? facts.error : undefined);
  });

  test("that ended last is known by the deployable while the next one runs", async () => {
    const one = await deployable(pending);
    await progress(one, { generation: 4 });
    expect(await get(one, 4)).toMatchObject({ state: "succeeded", percent: 100 });
  });

  test("of which nothing was ever reported was overtaken", async () => {
    const one = await deployable({ ...pending, wish: { scrub: "erase" } });
    const view = await get(one, 3);
    expect(view).toMatchObject({ state: "superseded", kind: "program", percent: 0 });
    expect(view.image).toBeUndefined();
    expect(view.claim).toBeUndefined();
  });
});

describe("who may see it", () => {
  const isUnknown = async (of: Deployable, generation: number, project: string) => {
    const problem = await refused(served, "getOperation", at(of, generation, project));
    expect(problem).toMatchObject({ code: "UNKNOWN_OPERATION", status: 404, field: "operation" });
  };

  test("the project for whose claim it was, even after another took over; admins always", async () => {
    const one = await deployable({ handles: { pf: heldHandle("p2", claim) } });
    await progress(one, { generation: 2, state: "succeeded", project: "p1" });
    await get(one, 2, "p1");
    await isUnknown(one, 2, "p2");
    const asAdmin = { ...at(one, 2, "p9"), roles: "admin" };
    await ask<OperationView>(served, "getOperation", asAdmin);
  });

  test("a scrub: whoever left until someone else holds it", async () => {
    const wish = { scrub: "erase" } as const;
    const one = await deployable({ ...pending, wish, handles: {}, lastProject: "p1" });
    await progress(one, { kind: "scrub", project: undefined, claim: undefined });
    await get(one, 5, "p1");
    await isUnknown(one, 5, "p2");
    await addDeployable(store, { id: one.host, name: "node1" }, "a", {
      ...pending,
      handles: { pf: heldHandle("p2", claim) },
      lastProject: "p2",
    });
    await get(one, 5, "p2");
    await isUnknown(one, 5, "p1");
  });

  test("what nobody reported and nobody holds is unknown to projects", async () => {
    const one = await deployable({ ...pending, handles: {} });
    await isUnknown(one, 5, "p1");
  });

  test("shared silicon: every holder sees what has no owner", async () => {
    const handles = { vf0: heldHandle("p1", claim), vf1: heldHandle("p2", idOf("other")) };
    const one = await deployable({ ...pending, handles });
    await get(one, 5, "p1");
    await get(one, 5, "p2");
    await isUnknown(one, 5, "p3");
  });
});

test("what is no operation is unknown", async () => {
  const one = await deployable();
  const names = [
    "",
    "x",
    one.id,
    `${one.id}.`,
    `${one.id}.0`,
    `${one.id}.04`,
    `${one.id}.-1`,
    `${one.id}.5`,
    `${one.id}.1e1`,
    `${one.id}.9999999999999`,
    `${one.id.toUpperCase()}.4`,
    `${idOf("nobody")}.1`,
    `HOST#x.1`,
  ];
  for (const operation of names) {
    const problem = await refused(served, "getOperation", { roles: "admin", path: { operation } });
    expect(problem, operation).toMatchObject({ code: "UNKNOWN_OPERATION" });
  }
});
