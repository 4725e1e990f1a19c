import { beforeEach, describe, expect, test } from "vitest";
import type { OpenStackCall } from "#openstack/cloud";
import { readClaim } from "#store/claims";
import { due } from "#store/keys";
import { oweEvent, readOwedEvent } from "#store/outbox";
import { openQuota } from "#store/quotas";
import { type Ticking, tick } from "../../functions/events/openstack-clock.ts";
import { releaseOrphans } from "../../functions/openstack/orphans.ts";
import { addClaimRow, idOf, type TestStore, testStore } from "../http/rows.ts";
import { cloudOf, novaOf } from "./nova.ts";

let store: TestStore;
const said: string[] = [];

beforeEach(async () => {
  store = testStore();
  said.length = 0;
  // One minute past the minute in which forgotten requests are looked for.
  store.pass(60_000 - (store.now() % 600_000) + 600_000);
});

const arq = { provider: idOf("rp"), instance: idOf("vm") };
const log = (message: string) => said.push(message);

function ticking(facts: Partial<Ticking> = {}, statuses: readonly number[] = [200]): Ticking {
  const { openstack } = novaOf(...statuses);
  const idle = async () => undefined;
  const none = async () => 0;
  const nothing = {
    syncDue: idle,
    settleAllocation: idle,
    enlistHosts: none,
    releaseOrphans: none,
  };
  return { store, openstack, log, ...nothing, ...facts };
}

async function placementRow(host: string, at: number): Promise<void> {
  const key = { pk: `HOST#${host}`, sk: "PLACEMENT" };
  const item = { ...key, type: "placement", ...due(at, "placement", host, "SYNC") };
  await store.table.write([{ kind: "put", item }]);
}

describe("a tick", () => {
  test("delivers events and compares hosts that are due, and no others", async () => {
    const claim = await addClaimRow(store, "arq", arq);
    await store.table.write(oweEvent(claim, "completed", store.now()));
    await placementRow(idOf("h1"), store.now() - 1);
    await placementRow(idOf("h2"), store.now() + 1000);
    const hosts: unknown[] = [];
    const ticked = await tick(ticking({ syncDue: async (item) => hosts.push(item["pk"]) }));
    expect(hosts).toEqual([`HOST#${idOf("h1")}`]);
    expect(ticked).toMatchObject({ events: 1, failures: 0 });
    expect(await readOwedEvent(store, claim.id)).toBeUndefined();
  });

  test("goes on after one that fails", async () => {
    for (const name of ["h1", "h2", "h3"]) await placementRow(idOf(name), store.now() - 1);
    let seen = 0;
    const syncDue = async () => {
      seen += 1;
      if (seen === 1) throw new Error("a defect");
    };
    expect(await tick(ticking({ syncDue }))).toMatchObject({ hosts: 2, failures: 1 });
  });

  test("leaves the rest to the next one when its time is over", async () => {
    for (let index = 0; index < 30; index += 1) {
      await placementRow(idOf(`h${index}`), store.now() - 1);
    }
    const syncDue = async () => {
      store.pass(10_000);
      await Promise.resolve();
    };
    const { hosts } = await tick(ticking({ syncDue }));
    expect(hosts).toBeGreaterThan(0);
    expect(hosts).toBeLessThan(30);
  });

  test("calls for new hosts every two minutes, before it compares", async () => {
    const enlistHosts = async () => {
      await placementRow(idOf("new"), store.now() - 1);
      return 1;
    };
    expect(await tick(ticking({ enlistHosts }))).toMatchObject({ enlisted: 0, hosts: 0 });
    store.pass(60_000);
    expect(await tick(ticking({ enlistHosts }))).toMatchObject({ enlisted: 1, hosts: 1 });
  });

  test("looks for forgotten requests every ten minutes", async () => {
    const facts = { releaseOrphans: async () => 3 };
    expect(await tick(ticking(facts))).toMatchObject({ released: 0 });
    store.pass(9 * 60_000);
    expect(await tick(ticking(facts))).toMatchObject({ released: 3 });
  });
});

describe("a request of an instance that Nova does not know", () => {
  const calls: OpenStackCall[] = [];
  const cloud = (listed: readonly string[], status: number, listStatus = 200) =>
    cloudOf(async (call) => {
      calls.push(call);
      const isList = call.path === "/servers";
      const text = JSON.stringify({ servers: listed.map((id) => ({ id })) });
      return { status: isList ? listStatus : status, headers: new Headers(), text };
    });

  beforeEach(async () => {
    calls.length = 0;
    await openQuota(store, { project: "p1", resourceClass: "CUSTOM_FPGA_INTEL_PF" }, 8);
    await addClaimRow(store, "arq", arq);
    await addClaimRow(store, "native", { instance: idOf("elsewhere") });
    store.pass(10 * 60_000);
  });

  const orphans = async (openstack: ReturnType<typeof cloud>) =>
    await releaseOrphans({ store, openstack, log });

  test("is released, and the native claims of anybody are not touched", async () => {
    expect(await orphans(cloud([], 404))).toBe(1);
    expect(await readClaim(store, idOf("arq"))).toBeUndefined();
    expect(await readClaim(store, idOf("native"))).toBeDefined();
    expect(said).toEqual([`releasing ${idOf("arq")}: Nova knows no instance ${idOf("vm")}`]);
  });

  test.each([
    ["its server is listed", cloud([idOf("vm")], 404)],
    ["its server answers when asked for", cloud([], 200)],
    ["Nova fails when asked for it", cloud([], 500)],
    ["Nova's servers cannot be listed", cloud([], 404, 500)],
  ])("is kept when %s", async (_, openstack) => {
    expect(await orphans(openstack)).toBe(0);
    expect(await readClaim(store, idOf("arq"))).toBeDefined();
  });

  test("is kept for ten minutes after its last change", async () => {
    await addClaimRow(store, "fresh", arq);
    expect(await orphans(cloud([], 404))).toBe(1);
    expect(await readClaim(store, idOf("fresh"))).toBeDefined();
  });
});
