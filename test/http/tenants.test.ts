import { beforeEach, describe, expect, test } from "vitest";
import type { Deployable } from "#domain/deployable";
import type { Host } from "#domain/host";
import type { ClaimView, ReleasedView } from "#protocol/http/claims";
import type { DeployableView, ReceiptView } from "#protocol/http/deployables";
import { readClaim } from "#store/claims";
import { openQuota } from "#store/quotas";
import { addReceipt, progressRow } from "#store/receipts";
import { claimsFunction } from "../../functions/http/claims.ts";
import { deployablesFunction } from "../../functions/http/deployables.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import { changeBeatState } from "./beats.ts";
import { ask, type HttpFunction, refused } from "./event.ts";
import {
  addClaimRow,
  addDeployable,
  addHost,
  heldHandle,
  idOf,
  type TestStore,
  testStore,
} from "./rows.ts";

let store: TestStore;
let host: Host;
let served: HttpFunction;
let claims: HttpFunction;

beforeEach(async () => {
  store = testStore();
  host = await addHost(store, "node1");
  const resolving = { store, catalogue: new Catalogue(store), hosts: new Map() };
  const settings = { bindDeadlineMs: 180_000, defaultQuota: 8 };
  served = deployablesFunction(resolving);
  claims = claimsFunction({ ...resolving, settings, large: new Map() });
});

const secret = { functionId: idOf("function"), imageId: idOf("secret"), sha256: "c".repeat(64) };
const wished = (keep: boolean) => ({
  image: {
    id: secret.imageId,
    sha256: secret.sha256,
    functionId: secret.functionId,
    type: "crypto",
    keep,
  },
});

const look = async (card: Deployable, project: string, roles = "reader") =>
  await ask<DeployableView>(served, "getDeployable", {
    project,
    roles,
    path: { deployable: card.id },
  });

describe("what a project left on a card", () => {
  test.each([
    ["a card that is only reset", { scrubMethod: "reset", wish: wished(false) } as const],
    ["a card that is being erased", { wish: { scrub: "erase" }, clean: false } as const],
  ])("is its own business: %s", async (_, facts) => {
    const left = { loaded: secret, lastProject: "p1", ...facts };
    const card = await addDeployable(store, host, "port0", left);
    expect((await look(card, "p2")).loaded).toEqual({ functionId: secret.functionId });
    expect((await look(card, "p1")).loaded).toEqual(secret);
    expect((await look(card, "ops", "admin")).loaded).toEqual(secret);
  });

  test("is everyone's when it may stay loaded for everyone", async () => {
    const left = { loaded: secret, lastProject: "p1", wish: wished(true) };
    const card = await addDeployable(store, host, "port0", left);
    expect((await look(card, "p2")).loaded).toEqual(secret);
  });
});

describe("receipts", () => {
  test("of what was programmed are for the project it was programmed for, whoever holds the card", async () => {
    const pf = heldHandle("p2", idOf("claim"));
    const card = await addDeployable(store, host, "port0", { handles: { pf } });
    for (const [number, project] of [
      [1, "p1"],
      [2, "p2"],
    ] as const) {
      const body = {
        deployable: card.id,
        number,
        previous: "0".repeat(64),
        kind: "program" as const,
        imageGeneration: number,
        sha256: "c".repeat(64),
        functionId: secret.functionId,
        fences: {},
        bootId: idOf("boot"),
        at: store.now(),
      };
      const progress = progressRow({
        deployable: card.id,
        generation: number,
        kind: "program",
        project,
        phase: "ready",
        percent: 100,
        state: "succeeded",
        startedAt: store.now(),
        updatedAt: store.now(),
      });
      const receipt = { body, signature: "s", digest: "d".repeat(64) };
      await store.table.write([addReceipt(receipt), { kind: "put", item: progress }]);
    }
    const numbers = async (project: string, roles: string) => {
      const request = { project, roles, path: { deployable: card.id } };
      const { items } = await ask<{ items: ReceiptView[] }>(served, "listReceipts", request);
      return items.map(({ number }) => number);
    };
    expect(await numbers("p2", "reader")).toEqual([2]);
    expect(await numbers("p1", "reader")).toEqual([1]);
    expect(await numbers("p3", "member")).toEqual([]);
    expect(await numbers("ops", "admin")).toEqual([2, 1]);
  });
});

describe("a claim", () => {
  let path: { readonly claim: string };

  beforeEach(async () => {
    const pf = heldHandle("p1", idOf("claim"), {
      state: "plugged",
      target: { hypervisor: "libvirt", domain: "guest1" },
    });
    const card = await addDeployable(store, host, "port0", { handles: { pf } });
    const where = { host: host.id, deployable: card.id, handle: "pf", fence: 2 };
    path = { claim: (await addClaimRow(store, "claim", where)).id };
  });

  test("gives its permit to those who may act, not to those who may look", async () => {
    const asMember = await ask<ClaimView>(claims, "getClaim", { path, roles: "member" });
    expect(asMember.permit).toBeDefined();
    const asReader = await ask<ClaimView>(claims, "getClaim", { path, roles: "reader" });
    expect(asReader.permit).toBeUndefined();
  });

  test("in a guest is not attached to another one before it is out", async () => {
    const body = { hypervisor: "libvirt", domain: "guest2" };
    expect(await refused(claims, "attachClaim", { path, body })).toMatchObject({ code: "IN_USE" });
    await ask(claims, "attachClaim", { path, body: { ...body, domain: "guest1" } });
    expect(await refused(claims, "attachClaim", { path, body })).toMatchObject({ code: "IN_USE" });
    await ask(claims, "detachClaim", { path });
    expect(await refused(claims, "attachClaim", { path, body })).toMatchObject({ code: "IN_USE" });
  });
});

describe("taking a handle over", () => {
  const ops = { roles: "admin", project: "ops", body: { handle: "pf", reason: "host burnt" } };
  let card: Deployable;

  beforeEach(async () => {
    card = await addDeployable(store, host, "port0", {
      handles: { pf: heldHandle("p1", idOf("claim")) },
    });
    const where = { host: host.id, deployable: card.id, handle: "pf", fence: 2 };
    await addClaimRow(store, "claim", where);
  });

  test("happens once and is answered again when the answer was lost", async () => {
    await changeBeatState(store, host.id, "offline");
    const request = { ...ops, path: { deployable: card.id }, key: "k1" };
    const first = await ask<DeployableView>(served, "takeOverHandle", request);
    expect(first.handles).toMatchObject([{ state: "releasing", fence: 3 }]);
    expect(await ask(served, "takeOverHandle", request)).toEqual(first);
    expect(await readClaim(store, idOf("claim"))).toMatchObject({ state: "BindFailed" });
  });

  test.each(["online", "drained"] as const)("is refused while the host is %s", async (state) => {
    await changeBeatState(store, host.id, state);
    const request = { ...ops, path: { deployable: card.id } };
    expect(await refused(served, "takeOverHandle", request)).toMatchObject({ code: "WRONG_STATE" });
  });
});

test("a release that is repeated while it is under way gets the same answer", async () => {
  const card = await addDeployable(store, host, "port0", {
    handles: { pf: heldHandle("p1", idOf("claim")) },
  });
  const where = { host: host.id, deployable: card.id, handle: "pf", fence: 2 };
  const claim = await addClaimRow(store, "claim", where);
  await openQuota(store, { project: "p1", resourceClass: claim.resourceClass }, 8);
  const request = { path: { claim: claim.id }, key: "k1" };
  const release = async () => await ask<ReleasedView>(claims, "releaseClaim", request);
  const [first, again] = await Promise.all([release(), release()]);
  expect(again).toEqual(first);
  expect(await release()).toEqual(first);
});

test("a host's name is looked up again once it was another host's", async () => {
  const hosts = new Map([["node1", idOf("removed")]]);
  await addHost(store, "removed", { state: "removed" });
  await addDeployable(store, host, "port0");
  const settings = { bindDeadlineMs: 180_000, defaultQuota: 8 };
  const resolving = { store, catalogue: new Catalogue(store), hosts };
  const warm = claimsFunction({ ...resolving, settings, large: new Map() });
  const body = { resourceClass: "CUSTOM_FPGA_INTEL_PF", host: "node1" };
  await refused(warm, "createClaims", { body });
  const { claims: granted } = await ask<{ claims: ClaimView[] }>(warm, "createClaims", { body });
  expect(granted).toMatchObject([{ hostName: "node1" }]);
});
