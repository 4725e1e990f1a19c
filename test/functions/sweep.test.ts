import { beforeEach, describe, expect, test } from "vitest";
import type { Claim } from "#domain/claim";
import { Fault } from "#domain/faults";
import type { Host } from "#domain/host";
import { mark } from "#domain/transitions";
import { readClaim, replaceClaim } from "#store/claims";
import { changeDeployable, readDeployable } from "#store/deployables";
import { fleetSize, refreshFleetSize } from "#store/fleet-size";
import { changeHost, readBeat, readHost, replaceBeat } from "#store/hosts";
import { beatKey } from "#store/keys";
import { readOwedEvent } from "#store/outbox";
import { notePing } from "#store/pings";
import { openQuota } from "#store/quotas";
import type { Table, Write } from "#store/table";
import { sweep } from "../../functions/events/sweep.ts";
import { addClaimRow, addDeployable, addHost, type TestStore, testStore } from "../http/rows.ts";

let store: TestStore;
let host: Host;

beforeEach(async () => {
  store = testStore();
  host = await addHost(store, "node1");
});

const quiet = {
  bucket: { presignGet: async () => "https://bucket/image" },
  push: { send: async () => true, close: async () => undefined },
  assign: async (claim: Claim) => claim,
};
const swept = async (table: Table = store.table) =>
  await sweep({ ...quiet, store: { ...store, table } });

const isAbout = (write: Write, id: string) =>
  write.kind !== "check" && JSON.stringify(write).includes(`DPL#${id}`);

/** The table, with something that comes between before the first write about a deployable. */
function between(id: string, act: () => Promise<void>): Table {
  let isDone = false;
  return {
    ...store.table,
    write: async (writes) => {
      if (!isDone && writes.some((write) => isAbout(write, id))) {
        isDone = true;
        await act();
      }
      return await store.table.write(writes);
    },
  };
}

describe("a host that went silent", () => {
  test("takes everything it has off offer", async () => {
    const card = await addDeployable(store, host, "port0");
    store.pass(120_001);
    expect(await swept()).toMatchObject({ silentHosts: 1, failures: 0 });
    expect(await readBeat(store, host.id)).toMatchObject({ state: "offline" });
    expect(await readHost(store, host.id)).toMatchObject({ state: "offline" });
    expect((await readDeployable(store, host.id, card.id))?.hostOnline).toBe(false);
    expect(await swept()).toMatchObject({ silentHosts: 0, failures: 0 });
  });

  test("is told from one that speaks by looking at it, and nothing is written of that one", async () => {
    const other = await addHost(store, "node2");
    store.pass(90_000);
    await notePing(store, { host: host.id, epoch: 3 });
    store.pass(30_001);
    const before = await store.table.get(beatKey(host.id));
    expect(await swept()).toMatchObject({ silentHosts: 1, failures: 0 });
    expect(await readBeat(store, other.id)).toMatchObject({ state: "offline" });
    expect(await store.table.get(beatKey(host.id))).toEqual(before);
    store.pass(90_000);
    expect(await swept()).toMatchObject({ silentHosts: 1, failures: 0 });
    expect(await readBeat(store, host.id)).toMatchObject({ state: "offline" });
  });

  test("waits for few others when many are silent at once, and for none that is due", async () => {
    for (let index = 0; index < 40; index += 1) await addHost(store, `rack-${index}`);
    store.pass(120_001);
    let [now, most] = [0, 0];
    const table: Table = {
      ...store.table,
      write: async (writes) => {
        now += 1;
        most = Math.max(most, now);
        await Promise.resolve();
        now -= 1;
        return await store.table.write(writes);
      },
    };
    expect(await swept(table)).toMatchObject({ silentHosts: 41, failures: 0 });
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(16);
  });

  test("is not passed over when a list breaks: what is under way ends, and the sweep fails", async () => {
    store.pass(120_001);
    const table: Table = {
      ...store.table,
      query: async (query) => {
        if (query.pk === "DUE#0") throw new Fault("TABLE_UNAVAILABLE");
        return await store.table.query(query);
      },
    };
    await expect(swept(table)).rejects.toMatchObject({ code: "TABLE_UNAVAILABLE" });
    expect(await readBeat(store, host.id)).toMatchObject({ state: "offline" });
    expect(await readHost(store, host.id)).toMatchObject({ state: "offline" });
  });

  test("is finished by the next sweep when this one fails in the middle", async () => {
    const cards = [
      await addDeployable(store, host, "port0"),
      await addDeployable(store, host, "port1"),
    ];
    store.pass(120_001);
    const failing = between(
      cards[1]?.id ?? "",
      async () => await Promise.reject(new Error("gone")),
    );
    expect(await swept(failing)).toMatchObject({ failures: 1 });
    expect(await swept()).toMatchObject({ silentHosts: 1, failures: 0 });
    for (const { id } of cards) {
      expect((await readDeployable(store, host.id, id))?.hostOnline).toBe(false);
    }
  });

  test("that says hello meanwhile stays on offer", async () => {
    const card = await addDeployable(store, host, "port0");
    store.pass(120_001);
    const hello = async () => {
      const beat = await readBeat(store, host.id);
      await changeHost(store, host.id, (known) => ({ ...known, state: "online" }));
      const { connection: _connection, withdrawing: _withdrawing, ...known } = beat;
      const online = { ...known, state: "online", epoch: beat.epoch + 1 } as const;
      await replaceBeat(store, beat, { ...online, seenAt: store.now() });
      await changeDeployable(store, card, (one) => mark(one, { hostOnline: true }, store.now()));
    };
    expect(await swept(between(card.id, hello))).toMatchObject({ silentHosts: 0, failures: 0 });
    expect((await readDeployable(store, host.id, card.id))?.hostOnline).toBe(true);
    expect(await readHost(store, host.id)).toMatchObject({ state: "online" });
    expect(await readBeat(store, host.id)).toMatchObject({ state: "online" });
  });

  test("is not silent when a ping comes between", async () => {
    store.pass(120_001);
    const table: Table = {
      ...store.table,
      get: async (key, options) => {
        const item = await store.table.get(key, options);
        if (key.sk === "BEAT") {
          const beat = await readBeat(store, host.id);
          await replaceBeat(store, beat, { ...beat, seenAt: store.now() });
        }
        return item;
      },
    };
    expect(await swept(table)).toMatchObject({ silentHosts: 0, failures: 0 });
    expect(await readBeat(store, host.id)).toMatchObject({ state: "online", seenAt: store.now() });
  });
});

describe("a lease that is over", () => {
  let claim: Claim;
  beforeEach(async () => {
    const leaseUntil = store.now() + 30_000;
    claim = await addClaimRow(store, "claim", { leaseSeconds: 30, leaseUntil });
    await openQuota(store, { project: "p1", resourceClass: claim.resourceClass }, 8);
    store.pass(30_000);
  });

  test("ends its claim", async () => {
    expect(await swept()).toMatchObject({ endedLeases: 1, failures: 0 });
    expect(await readClaim(store, claim.id)).toBeUndefined();
  });

  test("ends nothing when it is renewed between the look and the act", async () => {
    let isRenewed = false;
    const table: Table = {
      ...store.table,
      write: async (writes) => {
        if (!isRenewed) {
          isRenewed = true;
          const now = store.now();
          const renewed = { ...claim, leaseUntil: now + 60_000, updatedAt: now };
          await store.table.write([replaceClaim(claim, renewed)]);
        }
        return await store.table.write(writes);
      },
    };
    expect(await swept(table)).toMatchObject({ endedLeases: 0, failures: 0 });
    expect(await readClaim(store, claim.id)).toMatchObject({ state: "Bound" });
  });
});

describe("a claim that waits for a card", () => {
  test("is given another look, and told when its time is over", async () => {
    const facts = {
      state: "BindStarted",
      host: host.id,
      hostName: "node1",
      provider: "rp",
    } as const;
    const claim = await addClaimRow(store, "waiting", {
      ...facts,
      instance: "vm",
      deadline: store.now() + 180_000,
    });
    const looked: string[] = [];
    const assign = async (one: Claim) => {
      looked.push(one.id);
      return one;
    };
    store.pass(30_001);
    await sweep({ ...quiet, store, assign });
    expect(looked).toEqual([claim.id]);
    await openQuota(store, { project: "p1", resourceClass: claim.resourceClass }, 8);
    store.pass(180_000);
    expect(await swept()).toMatchObject({ missedDeadlines: 1, failures: 0 });
    expect(await readClaim(store, claim.id)).toMatchObject({
      state: "BindFailed",
      reason: { code: "BIND_DEADLINE" },
    });
    expect(await readOwedEvent(store, claim.id)).toMatchObject({ status: "failed" });
  });

  test("and was unbound by its owner ends an hour later", async () => {
    await openQuota(store, { project: "p1", resourceClass: "CUSTOM_FPGA_INTEL_PF" }, 8);
    const claim = await addClaimRow(store, "unbound", {
      state: "Unbound",
      deadline: store.now() + 3_600_000,
    });
    store.pass(3_600_000);
    expect(await swept()).toMatchObject({ missedDeadlines: 1 });
    expect(await readClaim(store, claim.id)).toBeUndefined();
  });
});

describe("the number of hosts", () => {
  test("is counted at the first sweep and then once an hour, without those that were removed", async () => {
    await addHost(store, "node2", { state: "offline" });
    await addHost(store, "node3", { state: "removed" });
    expect(await fleetSize(store)).toBe(0);
    await swept();
    expect(await fleetSize(store)).toBe(2);
    await addHost(store, "node4");
    store.pass(3_599_999);
    await swept();
    expect(await fleetSize(store)).toBe(2);
    store.pass(1);
    await swept();
    expect(await fleetSize(store)).toBe(3);
  });

  test("is right when the list of hosts has several pages", async () => {
    const pages: Table = {
      ...store.table,
      query: async (query) => await store.table.query({ ...query, limit: 1 }),
    };
    for (const name of ["node2", "node3"]) await addHost(store, name);
    await swept(pages);
    expect(await fleetSize(store)).toBe(3);
  });

  test("is counted by one of two sweeps that overlap", async () => {
    const both = await Promise.all([refreshFleetSize(store), refreshFleetSize(store)]);
    expect(both.filter(Boolean)).toHaveLength(1);
  });

  test("that cannot be counted is a failure of its own and holds up nothing", async () => {
    store.pass(120_001);
    const broken: Table = {
      ...store.table,
      query: async (query) => {
        if (query.pk === "HOSTS") throw new Fault("TABLE_UNAVAILABLE");
        return await store.table.query(query);
      },
    };
    expect(await swept(broken)).toMatchObject({ silentHosts: 1, failures: 1 });
    expect(await fleetSize(store)).toBe(0);
  });
});
