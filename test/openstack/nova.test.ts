import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { ImageView } from "#protocol/http/images";
import type { QuotaView } from "#protocol/http/settings";
import { compressionGbs, cryptoGbs, vectorXclbin } from "../../localstack/tour/bitstreams.ts";
import { until } from "../../localstack/tour/steps.ts";
import { type Arq, type Gatehouse, startGatehouse } from "./gatehouse.ts";
import { bootImage, flavorWith, type Servers, serversOf } from "./servers.ts";
import { demo } from "./services/keystone.ts";
import { type SharedStack, sharedStack } from "./shared.ts";

const intel = "CUSTOM_FPGA_INTEL_VF";
const xilinx = "CUSTOM_FPGA_XILINX_PF";
const regions = {
  intel: "69528db6-eb31-577a-9926-ab6d6c925a68",
  xilinx: "862c7020-a250-293e-3203-6f19956669e5",
};

let stack: SharedStack;
let gatehouse: Gatehouse;
let servers: Servers;
let bootDisk: string;
let project: string;
let crypto: ImageView;
let compression: ImageView;
let vector: ImageView;

beforeAll(async () => {
  stack = await sharedStack();
  gatehouse = await startGatehouse(stack);
  await gatehouse.addHost(stack.where.computeName, { dfl: 2, dflWhole: 1, alveo: 1 }, 4);
  crypto = await gatehouse.upload(cryptoGbs(regions.intel));
  compression = await gatehouse.upload(compressionGbs(regions.intel));
  vector = await gatehouse.upload(vectorXclbin(regions.xilinx));
  bootDisk = await bootImage(stack, gatehouse.token);
  // All servers are an ordinary member's: Nova comes to us with a token of theirs and its own.
  project = await stack.catalog.project(demo.projectName);
  servers = serversOf(stack, await stack.catalog.token(demo), bootDisk);
  await everythingFree();
});

afterEach(async () => {
  await servers.removeAll();
});

afterAll(async () => {
  await gatehouse?.close();
});

const oneIntel = (image: ImageView) => ({
  [`resources:${intel}`]: "1",
  "trait:CUSTOM_HW_INTEL": "required",
  "accel:bitstream_id": image.id,
});

async function everythingFree(): Promise<void> {
  await until("all cards on offer", async () =>
    (await gatehouse.deployables()).every(({ offered }) => offered) ? true : undefined,
  );
  await gatehouse.placed(intel, 4);
  await gatehouse.placed(xilinx, 1);
}

async function quotaUsed(): Promise<Readonly<Record<string, number>>> {
  const { items } = await gatehouse.api<{ items: QuotaView[] }>("GET", `/v1/quotas/${project}`);
  const held = items.filter(({ used }) => used > 0);
  return Object.fromEntries(held.map(({ resourceClass, used }) => [resourceClass, used]));
}

/** Everything is given back: no request, no quota in use, all cards on offer, also in Placement. */
async function nothingLeft(): Promise<void> {
  expect(await gatehouse.arqs()).toEqual([]);
  expect(await quotaUsed()).toEqual({});
  await everythingFree();
  expect(gatehouse.failures).toEqual([]);
}

/** The handle that a bound request has, and the card it is on. */
async function handleOf({ uuid }: Arq) {
  const all = await gatehouse.deployables();
  for (const deployable of all) {
    const handle = deployable.handles.find(({ claim }) => claim === uuid);
    if (handle !== undefined) return { deployable, handle };
  }
  throw new Error(`no handle has ${uuid}`);
}

async function theArq(server: string): Promise<Arq> {
  const [arq, ...more] = await gatehouse.arqs(server);
  if (arq === undefined || more.length > 0) throw new Error(`${server} should have one request`);
  return arq;
}

test("a server gets a programmed card and keeps it through its life, until it is deleted", async () => {
  const flavor = await gatehouse.flavor(oneIntel(crypto));
  const id = await servers.boot(flavor);
  await servers.settled(id, "ACTIVE");
  const arq = await theArq(id);
  expect(arq).toMatchObject({
    state: "Bound",
    hostname: stack.where.computeName,
    project_id: project,
    attach_handle_type: "PCI",
  });
  const { deployable, handle } = await handleOf(arq);
  expect(deployable.loaded).toMatchObject({
    functionId: crypto.functionId,
    sha256: crypto.sha256,
  });
  const { domain, bus, device, function: fn } = arq.attach_handle_info;
  expect(`${domain}:${bus}:${device}.${fn}`).toBe(handle.pciAddress);
  expect(await quotaUsed()).toEqual({ [intel]: 1 });
  await gatehouse.placed(intel, 3);

  const acts = [
    [{ reboot: { type: "SOFT" } }, "ACTIVE"],
    [{ reboot: { type: "HARD" } }, "ACTIVE"],
    [{ "os-stop": null }, "SHUTOFF"],
    [{ "os-start": null }, "ACTIVE"],
    [{ pause: null }, "PAUSED"],
    [{ unpause: null }, "ACTIVE"],
    [{ rebuild: { imageRef: bootDisk } }, "ACTIVE"],
    [{ rescue: {} }, "RESCUE"],
    [{ unrescue: null }, "ACTIVE"],
  ] as const;
  for (const [action, status] of acts) {
    expect((await servers.act(id, action)).status).toBeLessThan(300);
    await servers.settled(id, status);
    expect(await theArq(id)).toEqual(arq);
  }
  // Nova itself refuses what would move the guest to another card.
  for (const action of [{ suspend: null }, { resize: { flavorRef: flavor } }]) {
    expect((await servers.act(id, action)).status).toBeGreaterThanOrEqual(400);
  }
  expect(await theArq(id)).toEqual(arq);

  expect((await servers.act(id, { shelve: null })).status).toBe(202);
  await servers.settled(id, "SHELVED_OFFLOADED");
  await nothingLeft();
  expect((await servers.act(id, { unshelve: null })).status).toBe(202);
  await servers.settled(id, "ACTIVE");
  const second = await theArq(id);
  expect(second.state).toBe("Bound");
  expect(second.uuid).not.toBe(arq.uuid);
  expect((await handleOf(second)).deployable.loaded.functionId).toBe(crypto.functionId);

  await servers.remove(id);
  await nothingLeft();
}, 120_000);

test("a server gets what two groups of a profile ask for, from cards of two vendors", async () => {
  const flavor = await gatehouse.flavor(
    { ...oneIntel(crypto), [`resources:${intel}`]: "2" },
    { [`resources:${xilinx}`]: "1", "accel:bitstream_id": vector.id },
  );
  const id = await servers.boot(flavor);
  await servers.settled(id, "ACTIVE");
  const bound = (await gatehouse.arqs(id)).toSorted(
    (a, b) => a.device_profile_group_id - b.device_profile_group_id,
  );
  expect(bound.map((arq) => [arq.device_profile_group_id, arq.state])).toEqual([
    [0, "Bound"],
    [0, "Bound"],
    [1, "Bound"],
  ]);
  const handles = await Promise.all(bound.map(handleOf));
  expect(new Set(handles.map(({ handle }) => handle.pciAddress)).size).toBe(3);
  expect(handles.map(({ deployable }) => deployable.loaded.functionId)).toEqual([
    crypto.functionId,
    crypto.functionId,
    vector.functionId,
  ]);
  await servers.remove(id);
  await nothingLeft();
}, 60_000);

test("two servers of one request get a card each, and a third gets another image on its own", async () => {
  const pair = await servers.bootMany(await gatehouse.flavor(oneIntel(crypto)), 2);
  expect(pair).toHaveLength(2);
  const third = await servers.boot(await gatehouse.flavor(oneIntel(compression)));
  for (const id of [...pair, third]) await servers.settled(id, "ACTIVE");
  const handles = await Promise.all(
    [...pair, third].map(async (id) => await handleOf(await theArq(id))),
  );
  expect(new Set(handles.map(({ handle }) => handle.pciAddress)).size).toBe(3);
  expect(handles.map(({ deployable }) => deployable.loaded.functionId)).toEqual([
    crypto.functionId,
    crypto.functionId,
    compression.functionId,
  ]);
  await Promise.all([...pair, third].map(servers.remove));
  await nothingLeft();
}, 60_000);

test("eight servers want four cards: four run, four are told that none is left", async () => {
  const flavor = await gatehouse.flavor(oneIntel(crypto));
  const ids = await Promise.all(Array.from({ length: 8 }, () => servers.boot(flavor)));
  const ends = await Promise.all(ids.map(servers.ended));
  expect(ends.map(({ status }) => status).toSorted()).toEqual([
    ...Array<string>(4).fill("ACTIVE"),
    ...Array<string>(4).fill("ERROR"),
  ]);
  const faults = ends.flatMap(({ fault }) => (fault === undefined ? [] : [fault.message]));
  // Placement 8.0 has been seen to promise a fifth of four; the bind refuses that one at once.
  const expected = /^(No valid host|Failed to bind accelerator requests)/;
  expect(faults.filter((message) => !expected.test(message))).toEqual([]);
  expect(await gatehouse.arqs()).toHaveLength(4);
  await Promise.all(ids.map(servers.remove));
  await nothingLeft();
}, 120_000);

test("on a full fleet each server deleted makes room for the next", async () => {
  const flavor = await gatehouse.flavor(oneIntel(crypto));
  const running = await Promise.all(Array.from({ length: 4 }, () => servers.boot(flavor)));
  for (const id of running) await servers.settled(id, "ACTIVE");
  for (let round = 0; round < 6; round += 1) {
    await servers.remove(running.shift() ?? "");
    // The card is being scrubbed still: the bind waits behind that.
    const next = await servers.boot(flavor);
    await servers.settled(next, "ACTIVE");
    running.push(next);
  }
  await Promise.all(running.map(servers.remove));
  await nothingLeft();
}, 120_000);

test("a project that has used up its quota is told so before anything is bound", async () => {
  const quota = `/v1/quotas/${project}/${intel}`;
  await gatehouse.api("PUT", quota, { limit: 1 });
  const flavor = await gatehouse.flavor({ ...oneIntel(crypto), [`resources:${intel}`]: "2" });
  const id = await servers.boot(flavor);
  const { status, fault } = await servers.ended(id);
  expect(status).toBe("ERROR");
  expect(fault?.message).toMatch(/accelerator/i);
  expect(await gatehouse.arqs()).toEqual([]);
  await servers.remove(id);
  await gatehouse.api("PUT", quota, { limit: 64 });
  await nothingLeft();
}, 60_000);

test("a profile cannot be deleted while a server has cards by it, and can afterwards", async () => {
  const profile = await gatehouse.profile([{ [`resources:${intel}`]: "1" }]);
  const flavor = await flavorWith(stack, gatehouse.token, { "accel:device_profile": profile });
  const id = await servers.boot(flavor);
  await servers.settled(id, "ACTIVE");
  const path = `/device_profiles/${profile}`;
  expect((await gatehouse.accelerator("DELETE", path)).status).toBe(409);
  await servers.remove(id);
  expect((await gatehouse.accelerator("DELETE", path)).status).toBe(204);
  await expect(servers.boot(flavor)).rejects.toThrow(/400.*device profile/i);
  await nothingLeft();
}, 60_000);

test("the flavor of a whole Intel card with required vendor and type boots", async () => {
  const whole = "CUSTOM_FPGA_INTEL_PF";
  await gatehouse.placed(whole, 1);
  const flavor = await gatehouse.flavor({
    [`resources:${whole}`]: "1",
    "trait:CUSTOM_HW_INTEL": "required",
    "trait:CUSTOM_HW_CRYPTO": "required",
  });
  const id = await servers.boot(flavor);
  await servers.settled(id, "ACTIVE");
  const { deployable, handle } = await handleOf(await theArq(id));
  expect(deployable.resourceClass).toBe(whole);
  expect(handle.type).toBe("PF");
  await servers.remove(id);
  await nothingLeft();
  await gatehouse.placed(whole, 1);
}, 120_000);
