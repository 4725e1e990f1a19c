import { afterEach, describe, expect, test } from "vitest";
import { deployableId, uuidOf } from "#protocol/uuid";
import type { Card, CardReport } from "#protocol/wire/card";
import type { Driver } from "../../../agent/drivers/driver.ts";
import { simulatedDriver } from "../../../agent/drivers/simulated.ts";
import { dflCard, sriovCard } from "../../../agent/host/memory-kernel/cards.ts";
import type { SysfsPort } from "../../../agent/host/sysfs-port.ts";
import { without } from "../../../agent/memory/without.ts";
import type { AgentOptions } from "../../../agent/options.ts";
import type { CloudWish } from "../support/scripted-cloud.ts";
import { claimOf, makeWorld, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

let numvfs: string[];

/** An agent on a kernel whose writes to sriov_numvfs are counted. */
async function begin(changes: Partial<AgentOptions> = {}) {
  numvfs = [];
  const { kernel, hostId, time } = world;
  const port: SysfsPort = {
    ...kernel,
    write: async (path, text, deadline) => {
      if (path.endsWith("/sriov_numvfs")) numvfs.push(text);
      await kernel.write(path, text, deadline);
    },
  };
  const driver = simulatedDriver({ hostId, port, pr: kernel, sleep: time.sleep });
  await world.start({ driver, kernel: port, ...changes });
  await world.time.until(() => world.report(whole())?.epoch === world.cloud.epoch, "first report");
}

const cardId = () => world.cloud.inventory[0]?.cardId ?? "";
const whole = () => deployableId(world.hostId, cardId(), "card");
const handles = () =>
  world.cloud.inventory.flatMap(({ deployables }) =>
    deployables.flatMap((one) => one.handles.map(({ name }) => name)),
  );
const addressOf = (name: string) =>
  world.cloud.inventory
    .flatMap(({ deployables }) => deployables.flatMap((one) => one.handles))
    .find((one) => one.name === name)?.address ?? "";

function card(facts: Partial<Card> = {}): Card {
  const requestedAt = world.cloud.now();
  return {
    type: "card",
    cardId: cardId(),
    operation: uuidOf("operation", String(requestedAt)),
    kind: "layout",
    layout: "pf",
    requestedAt,
    deadline: requestedAt + 900_000,
    floors: {},
    ...facts,
  };
}

const answersTo = ({ operation }: Card) =>
  world.cloud.answers.filter((answer) => answer.operation === operation);
const ended = (operation: Card) => answersTo(operation).find(({ state }) => state !== "running");

/** What the agent says in the end. */
async function ask(operation: Card): Promise<CardReport> {
  world.cloud.line?.send(operation);
  await world.time.until(() => ended(operation) !== undefined, "an end");
  return ended(operation) ?? answersTo(operation)[0] ?? Promise.reject(new Error("no end"));
}

const sriovWorld = async () => {
  world = await makeWorld([sriovCard(0)]);
  await begin();
};

describe("an operation on a card nobody uses", () => {
  test("is done, told after the inventory that came of it, and told again when asked", async () => {
    await sriovWorld();
    const operation = card({ layout: "vfs", vfs: 2 });
    const end = await ask(operation);
    expect(end).toMatchObject({ state: "succeeded", inventoryHash: world.cloud.inventoryHash });
    expect(answersTo(operation).map(({ state }) => state)).toEqual(["running", "succeeded"]);
    expect(handles()).toEqual(["vf0", "vf1"]);
    const order = world.cloud.heard.map(({ type }) => type);
    expect(order.lastIndexOf("inventory")).toBeLessThan(order.lastIndexOf("card-report"));
    expect(numvfs).toEqual(["0", "2"]);
    world.cloud.line?.send(operation);
    await world.time.until(() => answersTo(operation).length === 3, "told again");
    expect(answersTo(operation)[2]?.state).toBe("succeeded");
    expect(numvfs).toHaveLength(2);
  });

  test("asked for after it was done by another agent changes nothing", async () => {
    await sriovWorld();
    await ask(card({ operation: uuidOf("first") }));
    expect(numvfs).toEqual(["0"]);
    await world.time.advance(1000);
    expect(await ask(card({ operation: uuidOf("second") }))).toMatchObject({ state: "succeeded" });
    expect(numvfs).toEqual(["0"]);
  });

  test("a look again finds what has changed", async () => {
    world = await makeWorld([sriovCard(0)]);
    await begin({ scanMs: 3_600_000 });
    await world.kernel.write("/sys/bus/pci/devices/0000:10:00.0/sriov_numvfs", "0", 1);
    expect(handles()).toHaveLength(4);
    expect(await ask(card({ kind: "rescan", layout: undefined }))).toMatchObject({
      state: "succeeded",
    });
    expect(handles()).toEqual(["pf"]);
  });

  test("a look for a card that is gone finds nothing, and nothing else is done to it", async () => {
    await sriovWorld();
    const operation = card({ cardId: "pci0000:00-1f.0" });
    expect(await ask(operation)).toMatchObject({ state: "failed", error: { code: "CARD_GONE" } });
    const look = card({ cardId: "pci0000:00-1e.0", kind: "rescan", operation: uuidOf("look") });
    expect(await ask(look)).toMatchObject({ state: "succeeded" });
  });

  test("a DFL card comes back with the VFs it had", async () => {
    world = await makeWorld([dflCard(0)]);
    numvfs = [];
    await world.start();
    await world.time.until(() => world.report()?.epoch === world.cloud.epoch, "first report");
    expect(await ask(card({ kind: "rebind", layout: undefined }))).toMatchObject({
      state: "succeeded",
    });
    expect(handles()).toEqual(["vf0", "vf1"]);
  });
});

describe("nothing is written while somebody has a part of the card", () => {
  const wish = (changes: Partial<CloudWish> = {}): CloudWish => ({
    deployable: whole(),
    revision: 1,
    imageGeneration: 0,
    handles: { vf1: { fence: 1, claim: claimOf("one"), plugged: false } },
    ...changes,
  });
  const settled = (revision: number) => () => world.report(whole())?.revision === revision;
  const refusal = async (operation = card()) => {
    const before = numvfs.length;
    const end = await ask(operation);
    expect(end.state).toBe("failed");
    expect(numvfs).toHaveLength(before);
    expect(handles()).toHaveLength(4);
    return end.error;
  };

  test("a claim, by the newest wish", async () => {
    await sriovWorld();
    world.cloud.wish(wish());
    await world.time.until(settled(1), "claimed");
    expect(await refusal()).toMatchObject({
      code: "IN_USE",
      message: `claim ${claimOf("one").id} holds vf1`,
    });
  });

  test("a guest, by the journal, also when the claim is over and the unplug fails", async () => {
    await sriovWorld();
    const target = { hypervisor: "libvirt", domain: "guest" } as const;
    const vf1 = { fence: 1, claim: claimOf("one"), plugged: true, target };
    world.cloud.wish(wish({ handles: { vf1 } }));
    await world.time.until(
      () => world.report(whole())?.handles["vf1"]?.state === "plugged",
      "plugged",
    );
    world.guests.failures.push(...Array.from({ length: 500 }, () => new Error("not now")));
    world.cloud.wish(wish({ revision: 2, handles: { vf1: { fence: 2, plugged: false } } }));
    await world.time.until(settled(2), "released");
    expect(await refusal(card({ floors: {} }))).toMatchObject({
      code: "IN_USE",
      message: "vf1 is plugged",
    });
  });

  test("a process on the host", async () => {
    await sriovWorld();
    const address = addressOf("vf2");
    await world.kernel.write(`/sys/bus/pci/devices/${address}/driver_override`, "vfio-pci", 1);
    await world.kernel.write("/sys/bus/pci/drivers_probe", address, 1);
    expect(await refusal()).toMatchObject({
      code: "IN_USE",
      message: `vf2 at ${address} is bound for a guest`,
    });
    const link = await world.kernel.readlink(`/sys/bus/pci/devices/${address}/iommu_group`);
    const node = `/dev/vfio/${link.split("/").at(-1)}`;
    await world.kernel.open(node, { pid: 7, command: "qemu" });
    await world.time.advance(1000);
    expect(await refusal(card({ operation: uuidOf("again") }))).toMatchObject({
      code: "IN_USE",
      message: `vf2 at ${address} is held by qemu (7)`,
    });
  });

  test("a later grant, by the fence it raised", async () => {
    await sriovWorld();
    world.cloud.wish(wish({ handles: { vf1: { fence: 5, plugged: false } } }));
    await world.time.until(settled(1), "heard");
    const floors = { [whole()]: { imageGeneration: 0, fences: { vf1: 4 } } };
    expect(await refusal(card({ floors }))).toMatchObject({ code: "STALE_FENCE" });
    const enough = { [whole()]: { imageGeneration: 0, fences: { vf1: 5 } } };
    await world.time.advance(1000);
    const end = await ask(card({ floors: enough, operation: uuidOf("enough") }));
    expect(end.state).toBe("succeeded");
  });

  test("what comes after its deadline", async () => {
    await sriovWorld();
    const late = card({ deadline: world.cloud.now() - 1 });
    expect(await refusal(late)).toMatchObject({ code: "WRONG_STATE" });
  });

  test("what is older than the newest operation of the card is not even answered", async () => {
    await sriovWorld();
    const old = card({ operation: uuidOf("old"), requestedAt: world.cloud.now() - 5 });
    const newest = card({ kind: "rescan", operation: uuidOf("newest") });
    await ask(newest);
    world.cloud.line?.send(old);
    await world.time.settle();
    expect(answersTo(old)).toEqual([]);
    expect(numvfs).toEqual([]);
  });

  test("a layout the card cannot have, or a driver that knows no operations", async () => {
    await sriovWorld();
    expect(await refusal(card({ layout: "regions" }))).toMatchObject({ code: "INVALID_REQUEST" });
    await world.close();
    world = await makeWorld([sriovCard(0)]);
    const { kernel, hostId, time } = world;
    const driver = simulatedDriver({ hostId, port: kernel, pr: kernel, sleep: time.sleep });
    await begin({ driver: without(driver, "operate") });
    expect(await refusal()).toMatchObject({ code: "INVALID_REQUEST" });
  });
});

test("no step of a deployable runs beside an operation on its card", async () => {
  world = await makeWorld([dflCard(0)]);
  const { kernel, hostId, time } = world;
  const inner = simulatedDriver({ hostId, port: kernel, pr: kernel, sleep: time.sleep });
  const order: string[] = [];
  const round = async <Value>(name: string, work: () => Promise<Value>): Promise<Value> => {
    order.push(`${name} begins`);
    await time.sleep(500);
    const value = await work();
    order.push(`${name} ends`);
    return value;
  };
  const driver: Driver = {
    ...inner,
    scrub: (place, method, work) => round("scrub", () => inner.scrub(place, method, work)),
    operate: (device, operation) =>
      round("operation", async () => await inner.operate?.(device, operation)),
  };
  await world.start({ driver });
  await time.until(() => world.report()?.epoch === world.cloud.epoch, "first report");
  const scrub = (deployable: string): CloudWish => ({
    deployable,
    revision: 1,
    imageGeneration: 1,
    scrub: "erase",
    handles: { vf0: { fence: 0, plugged: false, clean: true } },
  });
  world.cloud.wish(scrub(world.port0));
  await time.until(() => order.length === 1, "a scrub");
  const operation = card({ kind: "rebind", layout: undefined });
  world.cloud.line?.send(operation);
  await time.until(() => order.length === 3, "the operation");
  world.cloud.wish(scrub(world.port1));
  const isScrubbed = (id: string) => world.report(id)?.phase === "ready";
  await time.until(() => isScrubbed(world.port0) && isScrubbed(world.port1), "both scrubs");
  expect(ended(operation)?.state).toBe("succeeded");
  expect(order).toEqual([
    "scrub begins",
    "scrub ends",
    "operation begins",
    "operation ends",
    "scrub begins",
    "scrub ends",
  ]);
});

test("an operation waits for the step that runs", async () => {
  world = await makeWorld([sriovCard(0)]);
  let isCleaning = false;
  const { kernel, hostId, time } = world;
  const inner = simulatedDriver({ hostId, port: kernel, pr: kernel, sleep: time.sleep });
  let touched = false;
  const driver: Driver = {
    ...inner,
    cleanHandle: async (place, handle) => {
      isCleaning = true;
      await time.sleep(500);
      await inner.cleanHandle(place, handle);
      isCleaning = false;
    },
    operate: async (device, operation) => {
      touched = true;
      expect(isCleaning).toBe(false);
      await inner.operate?.(device, operation);
    },
  };
  await begin({ driver });
  world.cloud.wish({
    deployable: whole(),
    revision: 1,
    imageGeneration: 0,
    handles: { vf0: { fence: 1, plugged: false, clean: true } },
  });
  await time.until(() => isCleaning, "a clean-up");
  expect((await ask(card())).state).toBe("succeeded");
  expect(touched).toBe(true);
});
