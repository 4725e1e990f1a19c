import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView, DeviceView } from "#protocol/http/deployables";
import type { HostView } from "#protocol/http/hosts";
import type { ImageView } from "#protocol/http/images";
import { encodeXclbin } from "#protocol/images/encode-xclbin";
import { alveoCard } from "../../agent/host/memory-kernel/cards.ts";
import type { FailureKind } from "../../agent/host/memory-kernel/state.ts";
import { sweep } from "../../functions/events/sweep.ts";
import { claimsFunction } from "../../functions/http/claims.ts";
import { bucketFrom } from "../../functions/parts/bucket.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import { pushFrom } from "../../functions/parts/push.ts";
import { storeFrom } from "../../functions/parts/store.ts";
import type { Api } from "../../localstack/hosts/api.ts";
import type { SimulatedHost } from "../../localstack/hosts/simulated-host.ts";
import { attached, bound, claimOne, until } from "../../localstack/tour/steps.ts";
import { ask } from "../http/event.ts";
import { allFree, claimWhen, deployableWhen, stepsOf, used } from "./settling.ts";
import { type Offline, startOffline } from "./support.ts";
import { activeImage, functionOf, judged, problemOf, put } from "./uploads.ts";

let offline: Offline;
let api: Api;
let host: SimulatedHost;
let images: Readonly<Record<string, ImageView>>;

const intel = "CUSTOM_FPGA_INTEL_VF";
const inspur = "CUSTOM_FPGA_INSPUR_VF";
const alveo = "CUSTOM_FPGA_XILINX_PF";
/** Four Intel cards of two regions, six Alveo cards, one card of four virtual functions. */
const deployableCount = 15;
/** Shorter than the silence of a host, so that one can be passed without the other. */
const deadlineMs = 60_000;
const silenceMs = 121_000;

beforeAll(async () => {
  offline = await startOffline({ GATEHOUSE_BIND_DEADLINE_SECONDS: String(deadlineMs / 1000) });
  api = offline.as("acme");
  host = await start();
  images = { [intel]: await activeImage(offline, "acme", "gbs"), [alveo]: await xclbin() };
  await allFree(api, deployableCount);
});

afterAll(async () => {
  await offline.close();
});

/** The host, with the memory and the cards it had before. */
async function start(): Promise<SimulatedHost> {
  return await offline.addHost("host-1", { dfl: 4, alveo: 6, sriov: 1 });
}

async function xclbin(): Promise<ImageView> {
  const { interfaceId } = alveoCard(0);
  const sections = [{ kind: 0, name: "bitstream", data: Buffer.alloc(4096, 7) }];
  const uuid = functionOf("xclbin");
  const bytes = encodeXclbin({ uuid, interfaceId, vbnv: "xilinx_u250", sections, timestamp: 1 });
  const key = "images/acme/vector.xclbin";
  await put(offline, key, bytes, { tags: { FPGA: "true", vendor: "xilinx", type: "vector" } });
  return await judged(api, key);
}

/** The sweep of a minute that is so far ahead. */
async function sweepAt(aheadMs: number) {
  const { environment } = offline.cloud;
  const store = { ...storeFrom(environment), now: () => Date.now() + aheadMs };
  return await sweep({
    store,
    bucket: bucketFrom(environment),
    push: pushFrom(environment),
    assign: async (claim) => claim,
  });
}

const look = async (id: string | undefined) =>
  await api<DeployableView>("GET", `/v1/deployables/${id}`);

/** Where the simulated kernel finds a deployable of the n-th card of a class. */
async function placeOf(resourceClass: string, index = 0) {
  const { items } = await api<{ items: DeployableView[] }>("GET", "/v1/deployables?limit=200");
  const ofClass = items.filter((one) => one.resourceClass === resourceClass);
  const devices = [...new Set(ofClass.map(({ address }) => address))].toSorted();
  const card = ofClass.find(({ address }) => address === devices[index]);
  const device = await api<DeviceView>("GET", `/v1/devices/${card?.device}`);
  return { id: card?.id, cardId: device.cardId, region: card?.region ?? "" };
}

const failures: readonly (readonly [FailureKind, string, string])[] = [
  ["crc", "PROGRAM_FAILED", "PROGRAM_FAILED"],
  ["incompatible", "IMAGE_INCOMPATIBLE", "PROGRAM_FAILED"],
  ["timeout", "PROGRAM_TIMEOUT", "PROGRAM_TIMEOUT"],
  ["wrong-read-back", "READ_BACK_MISMATCH", "READ_BACK_MISMATCH"],
];

/** Each on cards of its own, so that their waits pass at the same time. */
describe.concurrent("a program that fails", () => {
  test.each(failures)(
    "twice by %s fails the bind, and the card comes back",
    async (kind, onIntel, onAlveo) => {
      const index = failures.findIndex(([one]) => one === kind);
      await Promise.all([
        failing({ resourceClass: intel, index }, kind, onIntel),
        failing({ resourceClass: alveo, index }, kind, onAlveo),
      ]);
    },
  );

  test("once is tried again within the same operation", async () => {
    const { id, cardId, region } = await placeOf(alveo, 4);
    await host.kernel.failNext(cardId, region, "crc", 1);
    const asked = { deployable: id, image: images[alveo]?.id };
    const claim = await claimOne(stepsOf(offline, api), asked);
    await bound(stepsOf(offline, api), claim.id);
    await api("DELETE", `/v1/claims/${claim.id}`);
  });

  test("because its card vanishes waits for the card, and goes on when it is back", async () => {
    const { id, cardId, region } = await placeOf(alveo, 5);
    await host.kernel.failNext(cardId, region, "vanish", 1);
    const asked = { deployable: id, image: images[alveo]?.id };
    const claim = await claimOne(stepsOf(offline, api), asked);
    await deployableWhen(api, id, ({ state, reason }) => state === "faulty" && reason === "gone");
    expect(await look(id)).toMatchObject({ offered: false });
    await host.kernel.setPresent(cardId, true);
    await bound(stepsOf(offline, api), claim.id);
    expect((await look(id)).loaded.functionId).toBe(functionOf("xclbin"));
    await api("DELETE", `/v1/claims/${claim.id}`);
    const back = await deployableWhen(api, id, ({ offered }) => offered);
    expect(back.loaded.functionId).toBeNull();
    expect(back.handles[0]?.fence).toBeGreaterThan(claim.fence ?? 0);
  });
});

/** Both tries of a program go wrong; the card is scrubbed, offered and programmed again. */
async function failing(
  { resourceClass, index }: { readonly resourceClass: string; readonly index: number },
  kind: FailureKind,
  code: string,
): Promise<void> {
  const { id, cardId, region } = await placeOf(resourceClass, index);
  const own = offline.as(`${kind}-${index}`);
  // An image that does not fit is not tried twice; what is planned for a try must not meet the scrub.
  await host.kernel.failNext(cardId, region, kind, code === "IMAGE_INCOMPATIBLE" ? 1 : 2);
  const asked = { deployable: id, image: images[resourceClass]?.id };
  const claim = await claimOne(stepsOf(offline, own), asked);
  const failed = await claimWhen(own, claim.id, ({ state }) => state === "BindFailed");
  expect(failed.reason?.code).toBe(code);
  expect(failed.handle).toBeUndefined();
  expect((await used(own))[resourceClass]).toBe(1);
  const card = await deployableWhen(own, id, ({ offered }) => offered);
  expect(card.loaded.functionId).toBeNull();
  expect(card.handles[0]?.fence).toBeGreaterThan(claim.fence ?? 0);
  await own("DELETE", `/v1/claims/${claim.id}`);
  expect((await used(own))[resourceClass]).toBe(0);
  const again = await claimOne(stepsOf(offline, own), asked);
  await bound(stepsOf(offline, own), again.id);
  await own("DELETE", `/v1/claims/${again.id}`);
}

test("a program that hangs meets the binding deadline; the card comes back when it ends", async () => {
  await allFree(api, deployableCount);
  const { id, cardId, region } = await placeOf(alveo);
  await host.kernel.failNext(cardId, region, "hang", 1);
  const claim = await claimOne(stepsOf(offline, api), {
    deployable: id,
    image: images[alveo]?.id,
  });
  await until("the program to hang", async () => {
    const running = host.kernel.snapshot().cards.flatMap((card) => card.regions);
    return await Promise.resolve(running.some((one) => one.running !== null) ? true : undefined);
  });
  expect(await sweepAt(deadlineMs - 5000)).toMatchObject({ missedDeadlines: 0 });
  expect(await sweepAt(deadlineMs)).toMatchObject({ missedDeadlines: 1, failures: 0 });
  const failed = await api<ClaimView>("GET", `/v1/claims/${claim.id}`);
  expect(failed).toMatchObject({ state: "BindFailed", reason: { code: "BIND_DEADLINE" } });
  expect((await look(id)).offered).toBe(false);
  await host.kernel.endHang(cardId, region);
  await deployableWhen(api, id, ({ offered }) => offered);
  expect(await api("GET", `/v1/claims/${claim.id}`)).toMatchObject({ state: "BindFailed" });
  await api("DELETE", `/v1/claims/${claim.id}`);
  await allFree(api, deployableCount);
});

test("whoever reads a claim after its deadline learns that its bind has failed", async () => {
  await host.stop();
  const claim = await claimOne(stepsOf(offline, api), { resourceClass: inspur });
  const read = async (aheadMs: number) => {
    const { environment } = offline.cloud;
    const store = { ...storeFrom(environment), now: () => Date.now() + aheadMs };
    const served = claimsFunction({
      store,
      settings: { bindDeadlineMs: deadlineMs, defaultQuota: 8 },
      catalogue: new Catalogue(store),
      hosts: new Map(),
      large: new Map(),
    });
    const request = { project: "acme", roles: "reader", path: { claim: claim.id } };
    return await ask<ClaimView>(served, "getClaim", request);
  };
  expect(await read(deadlineMs - 10_000)).toMatchObject({ state: "BindStarted" });
  const failed = await read(deadlineMs);
  expect(failed).toMatchObject({ state: "BindFailed", reason: { code: "BIND_DEADLINE" } });
  expect(await api("GET", `/v1/claims/${claim.id}`)).toMatchObject({ state: "BindFailed" });
  host = await start();
  await api("DELETE", `/v1/claims/${claim.id}`);
  await allFree(api, deployableCount);
});

test("a host that is away misses the deadline, falls silent, and comes back clean", async () => {
  const taken = await claimOne(stepsOf(offline, api), { resourceClass: inspur });
  await bound(stepsOf(offline, api), taken.id);
  await host.stop();
  const claim = await claimOne(stepsOf(offline, api), { image: images[intel]?.id });
  for (const [path, body] of [
    ["attach", { hypervisor: "libvirt" }],
    ["program", { image: images[intel]?.id }],
  ] as const) {
    const early = await problemOf(api("POST", `/v1/claims/${claim.id}/${path}`, body));
    expect(early).toMatchObject({ code: "WRONG_STATE", expected: "Bound" });
  }
  expect(await sweepAt(deadlineMs)).toMatchObject({ missedDeadlines: 1, silentHosts: 0 });
  expect(await api("GET", `/v1/claims/${claim.id}`)).toMatchObject({
    state: "BindFailed",
    reason: { code: "BIND_DEADLINE" },
  });
  expect(await sweepAt(silenceMs)).toMatchObject({ silentHosts: 1 });
  expect(await api<HostView>("GET", `/v1/hosts/${host.id}`)).toMatchObject({ state: "offline" });
  const { items } = await api<{ items: DeployableView[] }>("GET", "/v1/deployables?limit=200");
  expect(items.map(({ state, offered }) => [state, offered])).toEqual(
    items.map(() => ["offline", false]),
  );
  const refused = await problemOf(api("POST", "/v1/claims", { resourceClass: intel }));
  expect(refused).toMatchObject({ code: "NO_CAPACITY" });
  expect(JSON.stringify(refused["explanation"])).toContain("its host is silent");
  await api("DELETE", `/v1/claims/${claim.id}`);
  host = await start();
  await deployableWhen(api, claim.deployable, ({ offered }) => offered);
  expect(await api("GET", `/v1/claims/${taken.id}`)).toMatchObject({ state: "Bound" });
  await api("DELETE", `/v1/claims/${taken.id}`);
  await allFree(api, deployableCount);
});

test("only from a silent host may an operator take a handle, and it stays dirty until proven clean", async () => {
  const claim = await claimOne(stepsOf(offline, api), { image: images[alveo]?.id });
  await bound(stepsOf(offline, api), claim.id);
  await attached(stepsOf(offline, api), claim.id);
  const path = `/v1/deployables/${claim.deployable}/takeover`;
  const order = { handle: claim.handle, reason: "rack 4 burnt down" };
  const early = await problemOf(api("POST", path, order));
  expect(early).toMatchObject({ code: "WRONG_STATE", expected: "a silent host" });
  await host.stop();
  await sweepAt(silenceMs);
  const wrong = await problemOf(api("POST", path, { ...order, handle: "vf9" }));
  expect(wrong).toMatchObject({ code: "WRONG_STATE", field: "handle" });
  const denied = await problemOf(offline.as("acme", "member")("POST", path, order));
  expect(denied).toMatchObject({ code: "FORBIDDEN" });
  const taken = await api<DeployableView>("POST", path, order);
  expect(taken.handles[0]).toMatchObject({ state: "releasing", fence: (claim.fence ?? 0) + 1 });
  expect(taken.offered).toBe(false);
  const lost = await api<ClaimView>("GET", `/v1/claims/${claim.id}`);
  expect(lost).toMatchObject({ state: "BindFailed", reason: { code: "HOST_OFFLINE" } });
  expect(lost.reason?.message).toContain("rack 4 burnt down");
  host = await start();
  const back = await deployableWhen(api, claim.deployable, ({ offered }) => offered);
  expect(back.loaded.functionId).toBeNull();
  expect(back.handles[0]).toMatchObject({ state: "free" });
  await api("DELETE", `/v1/claims/${claim.id}`);
  await allFree(api, deployableCount);
  expect((await used(api))[alveo]).toBe(0);
});
