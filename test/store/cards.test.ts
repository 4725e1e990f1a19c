import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { advance, type CardOperation } from "#domain/card";
import { type Deployable, heldHandles, isOfferable, lostReason } from "#domain/deployable";
import { isFault } from "#domain/faults";
import type { Device } from "#domain/host";
import { openOperations, readCardLock } from "#store/card-lock";
import { beginOperation, endOperation, mostMembers, noteBegun, readOperation } from "#store/cards";
import { changeDeployable, deployablesOf, readDeployable } from "#store/deployables";
import { dueRows } from "#store/due";
import { dynamoTable } from "#store/dynamo-table";
import { grantClaims } from "#store/granting";
import { applyInventory, type FoundCard } from "#store/inventories";
import { deviceKey } from "#store/keys";
import { memoryTable } from "#store/memory-table";
import { rowOf } from "#store/rows";
import type { Table } from "#store/table";
import { offlineClient, startTable } from "../../localstack/table/start.ts";
import { deployable, handle, held, report, uuid } from "../domain/builders.ts";
import {
  group,
  newStore,
  putFleet,
  putHosts,
  refusal,
  request,
  startedAt,
  type TestStore,
} from "./support.ts";

interface Opened {
  readonly table: Table;
  readonly close: () => Promise<void>;
}

const memory = async (): Promise<Opened> => ({
  table: memoryTable(),
  close: async () => undefined,
});
const dynoxide = async (): Promise<Opened> => {
  const { endpoint, name, stop } = await startTable();
  const client = offlineClient(endpoint);
  const close = async () => {
    client.destroy();
    await stop();
  };
  return { table: dynamoTable(client, name), close };
};

describe.each([
  ["memory", memory],
  ["dynoxide", dynoxide],
])("a card's lock on %s", (_, open) => {
  let opened: Opened;
  let worlds = 0;
  beforeAll(async () => {
    opened = await open();
  });
  afterAll(async () => await opened.close());

  /** A card with two deployables on a host of its own, in a resource class of its own. */
  async function world(facts: (index: number) => Partial<Deployable> = () => ({}), count = 2) {
    worlds += 1;
    const number = worlds * 1000;
    const store = newStore(opened.table);
    const resourceClass = `CUSTOM_CARD_${worlds}`;
    const device = deviceOf(number, count);
    const members = Array.from({ length: count }, (_, index) =>
      deployable({
        id: uuid(number + index),
        host: device.host,
        device: device.id,
        region: `port${index}`,
        resourceClass,
        ...facts(index),
      }),
    );
    await putFleet(store, members);
    await putDevice(store, device);
    const where = { host: device.host, device: device.id };
    const wanted = { id: uuid(number + 901), kind: "rebind" } as const;
    return { store, device, members, where, wanted, number, resourceClass };
  }
  type World = Awaited<ReturnType<typeof world>>;

  const all = async ({ store, device }: World) => await deployablesOf(store, device.host);
  const claim = async ({ store, number, resourceClass }: World) =>
    await grantClaims(
      store,
      request(number, [group(1, undefined, { resourceClasses: [resourceClass] })]),
      new Map(),
    );
  const finish = async ({ store }: World, operation: CardOperation, event: "succeed" | "fail") =>
    await endOperation(store, operation, (one) => advance(one, event, { now: store.now() }));

  test("takes every deployable of its card off offer, in one go, and no other", async () => {
    const one = await world();
    const other = deployable({
      id: uuid(one.number + 500),
      host: one.device.host,
      device: uuid(one.number + 600),
    });
    await putFleet(one.store, [other]);
    const operation = await beginOperation(one.store, one.where, one.wanted);
    expect(operation).toMatchObject({ ...one.wanted, ...one.where, state: "pending" });
    expect(operation.deadline - operation.requestedAt).toBe(900_000);
    for (const now of await all(one)) {
      const isMember = now.device === one.device.id;
      expect(isOfferable(now)).toBe(!isMember);
      expect(now.cardOperation).toBe(isMember ? operation.id : undefined);
      expect(now.revision).toBe(isMember ? 11 : 10);
    }
    expect(await openOperations(one.store, one.device.host)).toEqual([operation]);
    expect(await claim(one)).toBeUndefined();
    expect(await refusal(beginOperation(one.store, one.where, one.wanted))).toBe("WRONG_STATE");
  });

  test("is refused while a claim holds a handle, and nothing changes", async () => {
    const one = await world((index) => (index === 1 ? { handles: { pf: held("c1") } } : {}));
    const before = await all(one);
    expect(await refusal(beginOperation(one.store, one.where, one.wanted))).toBe("IN_USE");
    expect(await all(one)).toEqual(before);
    expect(await readCardLock(one.store, one.device.host, one.device.id)).toBeUndefined();
  });

  test("is refused on a silent host and for a card nobody knows", async () => {
    const one = await world();
    const { host } = one.device;
    await putHosts(one.store, [host], { seenAt: startedAt - 120_001 });
    expect(await refusal(beginOperation(one.store, one.where, one.wanted))).toBe("HOST_OFFLINE");
    await putHosts(one.store, [host], { state: "offline" });
    expect(await refusal(beginOperation(one.store, one.where, one.wanted))).toBe("HOST_OFFLINE");
    const nowhere = { host, device: uuid(1) };
    expect(await refusal(beginOperation(one.store, nowhere, one.wanted))).toBe("UNKNOWN_DEVICE");
    await putHosts(one.store, [host], { state: "drained" });
    expect((await beginOperation(one.store, one.where, one.wanted)).state).toBe("pending");
  });

  test("takes a card of 96 deployables and refuses one of 97", async () => {
    const most = await world(undefined, mostMembers);
    await beginOperation(most.store, most.where, most.wanted);
    expect((await all(most)).every((one) => !isOfferable(one))).toBe(true);
    const more = await world(undefined, mostMembers + 1);
    expect(await refusal(beginOperation(more.store, more.where, more.wanted))).toBe(
      "INVALID_REQUEST",
    );
    expect((await all(more)).every(isOfferable)).toBe(true);
  });

  test("and a claim: of all who come at once exactly one wins", async () => {
    for (let round = 0; round < 8; round += 1) {
      const one = await world(undefined, 1);
      const outcomes = await Promise.allSettled([
        patiently(() => claim(one)),
        patiently(() => beginOperation(one.store, one.where, one.wanted)),
      ]);
      const [now] = await all(one);
      const isHeld = now !== undefined && heldHandles(now).length > 0;
      expect(now?.cardOperation === undefined).toBe(isHeld);
      expect(outcomes[0].status === "fulfilled" && outcomes[0].value !== undefined).toBe(isHeld);
      expect(outcomes[1].status === "rejected").toBe(isHeld);
    }
  });

  test("and a second operation: exactly one wins", async () => {
    const one = await world();
    const ids = [1, 2, 3].map((index) => uuid(one.number + 910 + index));
    const outcomes = await Promise.allSettled(
      ids.map((id) => patiently(() => beginOperation(one.store, one.where, { ...one.wanted, id }))),
    );
    const won = outcomes.flatMap((outcome) =>
      outcome.status === "fulfilled" ? [outcome.value] : [],
    );
    expect(won).toHaveLength(1);
    expect(await openOperations(one.store, one.device.host)).toEqual(won);
    expect(new Set((await all(one)).map((now) => now.cardOperation))).toEqual(
      new Set([won[0]?.id]),
    );
  });

  test("ends once: free again, written down, its deployables to be proven anew", async () => {
    const one = await world();
    const operation = await beginOperation(one.store, one.where, one.wanted);
    await noteBegun(one.store, operation);
    expect((await readOperation(one.store, operation))?.state).toBe("running");
    one.store.clock.now += 1000;
    const ended = await finish(one, operation, "succeed");
    expect(ended).toMatchObject({ id: operation.id, state: "succeeded" });
    expect(await readOperation(one.store, operation)).toEqual(ended);
    expect(await openOperations(one.store, one.device.host)).toEqual([]);
    for (const now of await all(one)) {
      expect(now).toMatchObject({ clean: false, imageGeneration: 6, wish: { scrub: "erase" } });
      expect(now.cardOperation).toBeUndefined();
    }
    expect(await finish(one, operation, "fail")).toBeUndefined();
    await noteBegun(one.store, operation);
    expect(await readOperation(one.store, operation)).toEqual(ended);
    one.store.clock.now += 30 * 86_400_000 + 1000;
    expect(await readOperation(one.store, operation)).toBeUndefined();
  });

  test("ends once when two say so at the same time", async () => {
    const one = await world();
    const operation = await beginOperation(one.store, one.where, one.wanted);
    const ends = await Promise.all([
      patiently(() => finish(one, operation, "succeed")),
      patiently(() => finish(one, operation, "fail")),
    ]);
    expect(ends.filter((end) => end !== undefined)).toHaveLength(1);
    expect((await all(one)).map((now) => now.imageGeneration)).toEqual([6, 6]);
  });

  test("of an operation that is over is no use to the next one", async () => {
    const one = await world();
    const first = await beginOperation(one.store, one.where, { ...one.wanted, kind: "rescan" });
    await finish(one, first, "succeed");
    const second = { ...one.wanted, id: uuid(one.number + 902) };
    await beginOperation(one.store, one.where, second);
    expect(await finish(one, first, "fail")).toBeUndefined();
    await noteBegun(one.store, first);
    expect(await openOperations(one.store, one.device.host)).toMatchObject([
      { id: second.id, state: "pending" },
    ]);
  });

  test("is due at its deadline and at no time after its end", async () => {
    const one = await world();
    const operation = await beginOperation(one.store, one.where, one.wanted);
    const isDue = async (at: number) => {
      one.store.clock.now = at;
      for await (const item of dueRows(one.store)) {
        if (item["type"] === "card" && item["sk"] === `CARD#${one.device.id}`) return true;
      }
      return false;
    };
    expect(await isDue(operation.deadline - 1)).toBe(false);
    expect(await isDue(operation.deadline)).toBe(true);
    await finish(one, operation, "fail");
    expect(await isDue(operation.deadline)).toBe(false);
  });

  test("holds what an inventory finds on the card meanwhile, until the operation is over", async () => {
    const one = await world();
    const operation = await beginOperation(one.store, one.where, one.wanted);
    await applyInventory(one.store, hostOf(one), [foundOn(one, 3)]);
    const fresh = (await all(one)).find((now) => now.region === "port2");
    expect(fresh?.cardOperation).toBe(operation.id);
    await finish(one, operation, "succeed");
    expect((await all(one)).map((now) => now.cardOperation)).toEqual(Array(3).fill(undefined));
  });

  test("misses no row that is found while it is taken or freed", async () => {
    for (let round = 0; round < 6; round += 1) {
      const one = await world();
      const [begun] = await Promise.allSettled([
        patiently(() => beginOperation(one.store, one.where, one.wanted)),
        patiently(() => applyInventory(one.store, hostOf(one), [foundOn(one, 3)])),
      ]);
      const marks = (await all(one)).map((now) => now.cardOperation);
      // What was found first is still dirty: then there is no operation.
      if (begun.status === "rejected") {
        expect(begun.reason).toMatchObject({ code: "WRONG_STATE" });
        expect(marks).toEqual(Array(3).fill(undefined));
        continue;
      }
      const operation = begun.value;
      expect(marks).toEqual(Array(3).fill(operation.id));
      await Promise.all([
        patiently(() => finish(one, operation, "succeed")),
        patiently(() => applyInventory(one.store, hostOf(one), [foundOn(one, 5)])),
      ]);
      const after = await all(one);
      expect(after).toHaveLength(5);
      expect(after.filter((now) => now.cardOperation !== undefined)).toEqual([]);
    }
  });

  test("a fresh proof puts the card back on offer with the handles it has now", async () => {
    const one = await world(() => ({ scrubMethod: "reset", programmable: false }), 1);
    const operation = await beginOperation(one.store, one.where, one.wanted);
    await applyInventory(one.store, hostOf(one), [foundOn(one, 1, ["vf0", "vf1"])]);
    await finish(one, operation, "succeed");
    const [dirty] = await all(one);
    if (dirty === undefined) throw new Error("the row is there");
    expect(dirty.handles["pf"]).toMatchObject({ attachable: false, reason: lostReason, fence: 0 });
    expect(isOfferable(dirty)).toBe(false);
    await changeDeployable(one.store, dirty, (now) => ({
      ...now,
      handles: { ...now.handles, vf0: handle({ fence: now.handles["vf0"]?.fence ?? 0 }) },
      clean: report(now).clean,
      revision: now.revision + 1,
    }));
    const proven = await readDeployable(one.store, dirty.host, dirty.id);
    expect(proven && isOfferable(proven)).toBe(true);
  });
});

/** Comes again while the answer is TRY_AGAIN, as a caller and an agent do. */
async function patiently<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isFault(error, "TRY_AGAIN")) throw error;
    }
  }
}

function deviceOf(number: number, count: number): Device {
  return {
    id: uuid(number + 800),
    host: uuid(number + 900),
    hostName: "node-1",
    cardId: "slot-1",
    kind: "FPGA",
    vendor: "intel",
    product: "n3000",
    pciVendor: "8086",
    pciDevice: "0b30",
    address: "0000:5e:00.0",
    driver: "dfl",
    layout: "regions",
    present: true,
    deployables: Array.from({ length: count }, (_, index) => uuid(number + index)),
    updatedAt: startedAt - 1000,
  };
}

async function putDevice({ table }: TestStore, device: Device): Promise<void> {
  const item = rowOf(deviceKey(device.host, device.id), "device", device);
  await table.write([{ kind: "put", item }]);
}

function hostOf({ device, store }: { readonly device: Device; readonly store: TestStore }) {
  const now = store.now();
  const { host: id, hostName: name } = device;
  return {
    id,
    name,
    state: "online",
    revoked: false,
    createdAt: now,
    updatedAt: now,
    revision: 0,
  } as const;
}

/** The card with so many regions, each with these handles. */
function foundOn(
  { device, number }: { readonly device: Device; readonly number: number },
  count: number,
  names: readonly string[] = ["pf"],
): FoundCard {
  const {
    present: _,
    deployables: __,
    updatedAt: ___,
    host: ____,
    hostName: _____,
    ...facts
  } = device;
  return {
    ...facts,
    deployables: Array.from({ length: count }, (_, index) => ({
      id: uuid(number + index),
      region: `port${index}`,
      programmable: false,
      scrubMethod: "reset" as const,
      sharing: "any" as const,
      loaded: { functionId: null },
      health: { state: "ok" as const },
      handles: names.map((name, at) => ({
        name,
        type: name === "pf" ? ("PF" as const) : ("VF" as const),
        address: `0000:5e:00.${at}`,
        attachable: true,
      })),
    })),
  };
}
