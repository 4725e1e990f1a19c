import { beforeEach, describe, expect, test } from "vitest";
import type { Claim } from "#domain/claim";
import { Fault } from "#domain/faults";
import type { Host } from "#domain/host";
import { providersOf } from "#domain/providers/providers";
import type { CreateClaim } from "#protocol/http/claims";
import { providerId } from "#protocol/uuid";
import { owedAllocationOf } from "#store/allocations";
import { readClaim } from "#store/claims";
import { deployablesOf, readDeployable } from "#store/deployables";
import { dueRows } from "#store/due";
import { recall } from "#store/idempotency";
import { openQuota } from "#store/quotas";
import { failOverdue, releaseClaim } from "#store/release";
import { changedWish } from "../../functions/events/table-changed.ts";
import { createClaims } from "../../functions/http/create-claims.ts";
import {
  type Allocating,
  type Allocation,
  settleOwed,
  takeAllocations,
} from "../../functions/openstack/native-allocations.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import { addDeployable, addHost, addImageRow, type TestStore, testStore } from "../http/rows.ts";

let store: TestStore;
let host: Host;
let allocating: Allocating;
/** What Placement holds, and what it has in all by provider. */
let held: Map<string, Allocation>;
let capacity: Map<string, number>;
let happened: string[];
let isAway: boolean;
let synced: "written" | "waiting";

const pf = "CUSTOM_FPGA_INTEL_PF";

beforeEach(async () => {
  store = testStore();
  held = new Map();
  capacity = new Map();
  happened = [];
  isAway = false;
  synced = "written";
  await openQuota(store, { project: "p1", resourceClass: pf }, 8);
  host = await addHost(store, "node1");
  const check = () => {
    if (isAway) throw new Fault("OPENSTACK_UNAVAILABLE", "placement: refused");
  };
  allocating = {
    store,
    providers: (name, deployables) => providersOf("pool", name, deployables, []),
    syncHost: async (id) => {
      check();
      happened.push(`sync ${id}`);
      return synced;
    },
    log: (message) => happened.push(message),
    allocator: {
      take: async (wanted) => {
        check();
        for (const { provider } of wanted) {
          const used = [...held.values()].filter((one) => one.provider === provider).length;
          if (used + wanted.length > (capacity.get(provider) ?? 8)) return "full";
        }
        for (const one of wanted) held.set(one.consumer, one);
        return "taken";
      },
      holds: async (consumer) => {
        check();
        return held.has(consumer);
      },
      drop: async (consumer) => {
        check();
        happened.push(`drop ${consumer}`);
        held.delete(consumer);
      },
    },
  };
});

async function create(body: Partial<CreateClaim> = {}, id = "once-1") {
  const claiming = {
    store,
    catalogue: new Catalogue(store),
    hosts: new Map(),
    large: new Map(),
    settings: { bindDeadlineMs: 180_000, defaultQuota: 8 },
    allocating,
  };
  const caller = { project: "p1", user: "u1", roles: ["member"], isAdmin: false };
  return await createClaims(claiming, {
    caller,
    path: {},
    query: {},
    headers: {},
    once: { id, body: "b" },
    body: { resourceClass: pf, ...body },
  });
}

async function one(body: Partial<CreateClaim> = {}): Promise<Claim> {
  const { claims } = await create(body);
  const [claim] = claims;
  if (claim === undefined) throw new Error("one was granted");
  return claim;
}

async function owed() {
  store.pass(60_000);
  const rows = [];
  for await (const item of dueRows(store, "SYNC")) {
    if (item["type"] === "allocation") rows.push(owedAllocationOf(item));
  }
  return rows;
}

const cardOf = async (claim: Claim) =>
  await readDeployable(store, claim.host ?? "", claim.deployable ?? "");

/** True when the stream would send this row's wish to its agent, whatever it was before. */
async function isSent(claim: Claim): Promise<boolean> {
  const card = await cardOf(claim);
  const after = { type: "deployable", value: card as never };
  return changedWish({ id: "e", at: 0, before: undefined, after }) !== undefined;
}

describe("a native claim where Placement is in use", () => {
  test("has its allocation before its wish reaches the agent", async () => {
    const card = await addDeployable(store, host, "port0");
    const image = await addImageRow(store, "crypto");
    let wasSent: boolean | undefined;
    const { take } = allocating.allocator;
    const watching = async (wanted: readonly Allocation[]) => {
      const claim = await readClaim(store, wanted[0]?.consumer ?? "");
      wasSent = claim && (await isSent(claim));
      return await take(wanted);
    };
    allocating = { ...allocating, allocator: { ...allocating.allocator, take: watching } };
    const claim = await one({ image: image.id });
    expect(wasSent).toBe(false);
    expect(claim).toMatchObject({ state: "BindStarted", allocation: "done" });
    expect(await isSent(claim)).toBe(true);
    const [provider] = providersOf("pool", "node1", [card], []);
    expect([...held.values()]).toEqual([
      {
        consumer: claim.id,
        project: "p1",
        user: "u1",
        provider: providerId(provider?.name ?? ""),
        resourceClass: pf,
      },
    ]);
    expect(await owed()).toEqual([]);
  });

  test("goes to another host when Placement has promised the first to others", async () => {
    const other = await addHost(store, "node2");
    await addDeployable(store, host, "port0");
    await addDeployable(store, other, "port0");
    for (const name of ["node1", "node2"]) {
      const id = name === "node1" ? host.id : other.id;
      const [provider] = providersOf("pool", name, await deployablesOf(store, id), []);
      capacity.set(providerId(provider?.name ?? ""), name === "node1" ? 0 : 1);
    }
    expect(await one()).toMatchObject({ host: other.id, allocation: "done" });
    expect(held.size).toBe(1);
  });

  test("is refused when Placement has promised everything, and nothing is left behind", async () => {
    await addDeployable(store, host, "port0");
    const [provider] = providersOf("pool", "node1", await deployablesOf(store, host.id), []);
    capacity.set(providerId(provider?.name ?? ""), 0);
    await expect(create()).rejects.toMatchObject({ code: "NO_CAPACITY" });
    expect(held.size).toBe(0);
    expect(await recall(store, { id: "once-1", body: "b" })).toBeUndefined();
    for (const order of await owed()) await settleOwed(allocating, order);
    expect(await owed()).toEqual([]);
  });

  test("waits while Placement is away, and goes on by the clock", async () => {
    await addDeployable(store, host, "port0");
    isAway = true;
    const claim = await one();
    expect(claim).toMatchObject({ state: "BindStarted", allocation: "pending" });
    expect(await isSent(claim)).toBe(false);
    const [first] = await owed();
    if (first === undefined) throw new Error("it is owed");
    await settleOwed(allocating, first);
    expect(await owed()).toEqual([first]);
    isAway = false;
    await settleOwed(allocating, first);
    expect(await readClaim(store, claim.id)).toMatchObject({ allocation: "done" });
    expect(await isSent(claim)).toBe(true);
    expect(held.has(claim.id)).toBe(true);
    expect(await owed()).toEqual([]);
  });

  test("that waited fails when Placement then has no place for it", async () => {
    await addDeployable(store, host, "port0");
    isAway = true;
    const claim = await one();
    isAway = false;
    const [provider] = providersOf("pool", "node1", await deployablesOf(store, host.id), []);
    capacity.set(providerId(provider?.name ?? ""), 0);
    for (const order of await owed()) await settleOwed(allocating, order);
    expect(await readClaim(store, claim.id)).toMatchObject({
      state: "BindFailed",
      reason: { code: "NO_CAPACITY" },
    });
  });

  test("that was released while its allocation was made leaves none", async () => {
    await addDeployable(store, host, "port0");
    isAway = true;
    const claim = await one();
    isAway = false;
    const { take } = allocating.allocator;
    const between = async (wanted: readonly Allocation[]) => {
      const answer = await take(wanted);
      await releaseClaim(store, claim);
      return answer;
    };
    const racing = { ...allocating, allocator: { ...allocating.allocator, take: between } };
    await takeAllocations(racing, [claim]);
    expect(held.size).toBe(0);
  });

  test("whose maker died after the allocation leaves none when it is released", async () => {
    await addDeployable(store, host, "port0");
    isAway = true;
    const claim = await one();
    isAway = false;
    await allocating.allocator.take([
      { consumer: claim.id, project: "p1", user: "u1", provider: "rp", resourceClass: pf },
    ]);
    await releaseClaim(store, claim);
    for (const order of await owed()) await settleOwed(allocating, order);
    expect(held.size).toBe(0);
    expect(await owed()).toEqual([]);
  });
});

describe("the allocation of a claim that ended", () => {
  test("is dropped after its card was reserved", async () => {
    await addDeployable(store, host, "port0");
    const claim = await one();
    await releaseClaim(store, claim);
    const [order] = await owed();
    if (order === undefined) throw new Error("it is owed");
    expect(order).toEqual({ order: "drop", claims: [claim.id], host: host.id });
    happened = [];
    await settleOwed(allocating, order);
    expect(happened).toEqual([`sync ${host.id}`, `drop ${claim.id}`]);
    expect(held.size).toBe(0);
    expect(await owed()).toEqual([]);
  });

  test("is owed as long as Placement is away", async () => {
    await addDeployable(store, host, "port0");
    const claim = await one();
    await releaseClaim(store, claim);
    isAway = true;
    for (const order of await owed()) await settleOwed(allocating, order);
    expect(await owed()).toHaveLength(1);
    expect(held.size).toBe(1);
  });

  test("is kept while its card cannot be reserved", async () => {
    await addDeployable(store, host, "port0");
    const claim = await one();
    await releaseClaim(store, claim);
    synced = "waiting";
    for (const order of await owed()) await settleOwed(allocating, order);
    expect(held.has(claim.id)).toBe(true);
    expect(await owed()).toHaveLength(1);
    synced = "written";
    for (const order of await owed()) await settleOwed(allocating, order);
    expect(held.size).toBe(0);
  });

  test("that was never made needs no host in Placement", async () => {
    await addDeployable(store, host, "port0");
    isAway = true;
    const claim = await one();
    await releaseClaim(store, claim);
    isAway = false;
    synced = "waiting";
    for (const order of await owed()) await settleOwed(allocating, order);
    expect(await owed()).toEqual([]);
  });

  test("is dropped when its bind failed, and once only", async () => {
    await addDeployable(store, host, "port0");
    const claim = await one();
    store.pass(180_000);
    const failed = await failOverdue(store, claim);
    expect(failed).toMatchObject({ state: "BindFailed" });
    expect(failed.allocation).toBeUndefined();
    for (const order of await owed()) await settleOwed(allocating, order);
    expect(held.size).toBe(0);
    await releaseClaim(store, failed);
    expect(await owed()).toEqual([]);
  });
});
