import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClaimView, ExplanationView } from "#protocol/http/claims";
import type { DeployableView, ReceiptView } from "#protocol/http/deployables";
import type { ImageView } from "#protocol/http/images";
import { type Api, apiOf } from "../../localstack/hosts/api.ts";
import { bound, claimOne } from "../../localstack/tour/steps.ts";
import { allFree, deployables, stepsOf, used } from "./settling.ts";
import { type Offline, startOffline } from "./support.ts";
import { activeImage, problemOf } from "./uploads.ts";

let offline: Offline;
let api: Api;
let image: ImageView;
let hosts: readonly { readonly id: string; readonly name: string }[];

const intel = "CUSTOM_FPGA_INTEL_VF";
const inspur = "CUSTOM_FPGA_INSPUR_VF";
const alveo = "CUSTOM_FPGA_XILINX_PF";

beforeAll(async () => {
  offline = await startOffline();
  api = offline.as("acme");
  hosts = await Promise.all([
    offline.addHost("host-1", { dfl: 1, alveo: 1, sriov: 1 }),
    offline.addHost("host-2", { sriov: 1 }),
  ]);
  image = await activeImage(offline, "acme", "claims");
  await allFree(api, 5);
});

afterAll(async () => {
  await offline.close();
});

const hostId = (index: number) => hosts[index]?.id ?? "";

async function claim(request: object, by: Api = api): Promise<readonly ClaimView[]> {
  return (await by<{ claims: ClaimView[] }>("POST", "/v1/claims", request)).claims;
}

/** Ends claims and waits until everything is free again. */
async function giveBack(claims: readonly ClaimView[]): Promise<void> {
  await Promise.all(claims.map(async ({ id }) => await api("DELETE", `/v1/claims/${id}`)));
  await allFree(api, 5);
}

const wanted: readonly (readonly [string, () => object, Partial<ClaimView>])[] = [
  ["a host's id", () => ({ host: hostId(1), resourceClass: inspur }), { hostName: "host-2" }],
  ["a host's name", () => ({ host: "host-2", resourceClass: inspur }), { hostName: "host-2" }],
  ["a type", () => ({ type: "crypto" }), { resourceClass: intel }],
  ["an image", () => ({ image: image.id }), { resourceClass: intel }],
  ["an image of its type", () => ({ image: image.id, type: "crypto" }), { resourceClass: intel }],
  [
    "traits",
    () => ({ resourceClass: intel, traits: ["CUSTOM_HW_INTEL", "CUSTOM_FPGA"] }),
    { hostName: "host-1" },
  ],
  [
    "a trait that the image brings",
    () => ({ image: image.id, traits: ["CUSTOM_ACCELERATOR_CRYPTO"] }),
    { resourceClass: intel },
  ],
  [
    "a forbidden trait",
    () => ({ resourceClass: alveo, forbiddenTraits: ["CUSTOM_HW_INTEL"] }),
    { resourceClass: alveo },
  ],
  ["an instance", () => ({ resourceClass: alveo, instance: "vm-1" }), { instance: "vm-1" }],
];

test.each(wanted)("%s says what is claimed", async (_what, request, expected) => {
  const claims = await claim(request());
  expect(claims).toHaveLength(1);
  expect(claims[0]).toMatchObject({ ...expected, state: "BindStarted", project: "acme" });
  expect(claims[0]?.pciAddress).toMatch(/^0000:1\d:00\.\d$/);
  const held = await bound(stepsOf(offline, api), claims[0]?.id ?? "");
  expect(held.deadline).toBeUndefined();
  await giveBack(claims);
});

test("a deployable can be claimed by its id, and says it is busy afterwards", async () => {
  const card = (await deployables(api)).find((one) => one.resourceClass === alveo);
  const claims = await claim({ deployable: card?.id });
  expect(claims[0]?.deployable).toBe(card?.id);
  const problem = await problemOf(claim({ deployable: card?.id }));
  expect(problem).toMatchObject({
    code: "NO_CAPACITY",
    status: 409,
    explanation: { fits: 0, busy: 1 },
  });
  const { deployables: verdicts } = problem["explanation"] as ExplanationView;
  const verdict = verdicts.find((one) => one.deployable === card?.id);
  expect(verdict).toMatchObject({ verdict: "busy", free: 0 });
  expect(verdict?.reasons).toContain("it is claimed and not shared");
  await giveBack(claims);
});

const nobody = randomUUID();
const refusals: readonly (readonly [string, string, string, object])[] = [
  ["UNKNOWN_HOST", "an unknown host", "host", { host: "nowhere", resourceClass: intel }],
  ["UNKNOWN_HOST", "an unknown host's id", "host", { host: nobody, resourceClass: intel }],
  ["UNKNOWN_TYPE", "an unknown type", "type", { type: "nothing" }],
  ["UNKNOWN_IMAGE", "an unknown image", "image", { image: nobody }],
  [
    "UNKNOWN_TRAIT",
    "an unknown trait",
    "traits.1",
    { resourceClass: intel, traits: ["CUSTOM_FPGA", "CUSTOM_NO"] },
  ],
  ["UNKNOWN_RESOURCE_CLASS", "an unknown class", "resourceClass", { resourceClass: "CUSTOM_NO" }],
  ["UNKNOWN_PROFILE", "an unknown profile", "profile", { profile: "nothing" }],
  ["UNKNOWN_DEPLOYABLE", "an unknown deployable", "deployable", { deployable: nobody }],
  ["INVALID_REQUEST", "nothing", "resourceClass", {}],
  ["INVALID_REQUEST", "a count of 0", "count", { resourceClass: inspur, count: 0 }],
  ["INVALID_REQUEST", "a count of 33", "count", { resourceClass: inspur, count: 33 }],
  ["INVALID_REQUEST", "a word for a count", "count", { resourceClass: inspur, count: "two" }],
  ["INVALID_REQUEST", "a lower-case trait", "traits.0", { resourceClass: intel, traits: ["fpga"] }],
  ["INVALID_REQUEST", "a short lease", "leaseSeconds", { resourceClass: intel, leaseSeconds: 29 }],
  ["INVALID_REQUEST", "an unknown member", "vendor", { resourceClass: intel, vendor: "intel" }],
  ["INVALID_REQUEST", "a profile and a count", "count", { profile: "nothing", count: 2 }],
];

test.each(refusals)(
  "%s is the answer to %s, with the field",
  async (code, _what, field, request) => {
    expect(await problemOf(claim(request))).toMatchObject({ code, field });
  },
);

test("an image is not claimed as one of another type", async () => {
  const problem = await problemOf(claim({ image: image.id, type: "dsp" }));
  expect(problem).toMatchObject({ code: "INVALID_REQUEST", field: "type", expected: "crypto" });
});

test("several handles come from one host, all or none", async () => {
  const claims = await claim({ resourceClass: inspur, count: 4 });
  expect(new Set(claims.map(({ host }) => host)).size).toBe(1);
  expect(new Set(claims.map(({ handle }) => handle)).size).toBe(4);
  await giveBack(claims);
  const held = await claim({ resourceClass: inspur, host: "host-1" });
  const before = await used(api);
  const problem = await problemOf(claim({ resourceClass: inspur, count: 5 }));
  expect(problem).toMatchObject({ code: "NO_CAPACITY" });
  expect(problem["detail"]).toContain("no single host has all 5");
  const onBusy = await problemOf(claim({ resourceClass: inspur, count: 4, host: "host-1" }));
  expect(onBusy).toMatchObject({ code: "NO_CAPACITY" });
  expect(await used(api)).toEqual(before);
  const elsewhere = await claim({ resourceClass: inspur, count: 4 });
  expect(new Set(elsewhere.map(({ hostName }) => hostName))).toEqual(new Set(["host-2"]));
  await giveBack([...held, ...elsewhere]);
});

test("a quota is a limit for all of a request", async () => {
  const small = offline.as("small");
  await small("PUT", `/v1/quotas/small/${inspur}`, { limit: 2 });
  const problem = await problemOf(claim({ resourceClass: inspur, count: 3 }, small));
  expect(problem).toMatchObject({ code: "OVER_QUOTA", field: "count", expected: "at most 2" });
  expect(await used(small)).toEqual({ [inspur]: 0 });
  const claims = await claim({ resourceClass: inspur, count: 2 }, small);
  expect(await used(small)).toEqual({ [inspur]: 2 });
  const over = await problemOf(claim({ resourceClass: inspur }, small));
  expect(over).toMatchObject({ code: "OVER_QUOTA", status: 403, expected: "at most 0" });
  await giveBack(claims);
  expect(await used(small)).toEqual({ [inspur]: 0 });
});

test("a profile with two groups is granted on one host, in group order", async () => {
  const groups = [
    { [`resources:${intel}`]: "2", "trait:CUSTOM_HW_INTEL": "required" },
    { [`resources:${alveo}`]: "1", "trait:CUSTOM_HW_INTEL": "forbidden" },
  ];
  await api("POST", "/v1/profiles", { name: "pair", groups });
  const claims = await claim({ profile: "pair", instance: "vm-2" });
  expect(claims.map(({ group, resourceClass }) => [group, resourceClass])).toEqual([
    [0, intel],
    [0, intel],
    [1, alveo],
  ]);
  expect(new Set(claims.map(({ host }) => host)).size).toBe(1);
  const { items } = await api<{ items: ClaimView[] }>("GET", "/v1/claims?instance=vm-2");
  expect(new Set(items.map(({ id }) => id))).toEqual(new Set(claims.map(({ id }) => id)));
  const problem = await problemOf(claim({ profile: "pair" }));
  expect(problem).toMatchObject({ code: "NO_CAPACITY" });
  await giveBack(claims);
});

test("an explanation judges every deployable and says why", async () => {
  const busy = await claim({ resourceClass: intel });
  const request = { image: image.id, host: "host-1" };
  const told = await api<ExplanationView>("POST", "/v1/deployables/explain", request);
  expect(told).toMatchObject({ fits: 1, busy: 1, unsuitable: 2 });
  expect(told.deployables.map(({ verdict }) => verdict)).toEqual([
    "fits",
    "busy",
    "unsuitable",
    "unsuitable",
  ]);
  expect(told.deployables[0]).toMatchObject({ free: 1, reasons: ["it is blank"] });
  expect(told.deployables[1]?.deployable).toBe(busy[0]?.deployable);
  const reasons = told.deployables.slice(2).flatMap((one) => one.reasons);
  expect(reasons).toEqual(
    expect.arrayContaining([
      "it cannot be programmed",
      `the image is for region ${image.interfaceId}`,
    ]),
  );
  await giveBack(busy);
});

test("without type and image nothing is programmed", async () => {
  const [held] = await claim({ resourceClass: intel });
  const before = await receiptsOf(held?.deployable);
  await bound(stepsOf(offline, api), held?.id ?? "");
  const card = await api<DeployableView>("GET", `/v1/deployables/${held?.deployable}`);
  expect(card.loaded.functionId).toBeNull();
  expect(await receiptsOf(held?.deployable)).toEqual(before);
  if (held !== undefined) await giveBack([held]);
});

async function receiptsOf(id: string | undefined): Promise<readonly ReceiptView[]> {
  const path = `/v1/deployables/${id}/receipts`;
  return (await api<{ items: ReceiptView[] }>("GET", path)).items;
}

test("someone else's claim is unknown, whatever is asked of it", async () => {
  const held = await claimOne(stepsOf(offline, api), { resourceClass: intel });
  await bound(stepsOf(offline, api), held.id);
  const stranger = offline.as("stranger", "member");
  const path = `/v1/claims/${held.id}`;
  const calls: readonly (readonly [string, string, object?])[] = [
    ["GET", path],
    ["DELETE", path],
    ["POST", `${path}/attach`, { hypervisor: "libvirt" }],
    ["POST", `${path}/detach`],
    ["POST", `${path}/renew`, { leaseSeconds: 60 }],
    ["POST", `${path}/program`, { image: image.id }],
  ];
  for (const [method, at, body] of calls) {
    expect(await problemOf(stranger(method, at, body))).toMatchObject({
      code: "UNKNOWN_CLAIM",
      status: 404,
    });
  }
  const { items } = await stranger<{ items: ClaimView[] }>("GET", "/v1/claims");
  expect(items).toEqual([]);
  const card = await stranger<DeployableView>("GET", `/v1/deployables/${held.deployable}`);
  expect(card.handles[0]).toMatchObject({ state: "claimed" });
  expect(card.handles[0]?.claim).toBeUndefined();
  await giveBack([held]);
});

function withKey(key: string): Api {
  return apiOf(offline.cloud.url, { "x-project-id": "acme", "idempotency-key": key });
}

test("a repeated claim is the same claim, also when it could not be granted any more", async () => {
  const brief = await activeImage(offline, "acme", "brief");
  const request = { image: brief.id, resourceClass: intel };
  const first = await claim(request, withKey("c1"));
  expect(await claim(request, withKey("c1"))).toEqual(
    first.map(({ id }) => expect.objectContaining({ id })),
  );
  const other = await problemOf(claim({ ...request, count: 2 }, withKey("c1")));
  expect(other).toMatchObject({ code: "IDEMPOTENCY_MISMATCH", status: 422 });
  await api("DELETE", `/v1/images/${brief.id}`);
  const again = await claim(request, withKey("c1"));
  expect(again.map(({ id }) => id)).toEqual(first.map(({ id }) => id));
  expect((await used(api))[intel]).toBe(1);
  await giveBack(first);
});

test("a claim is released once; the same release again gets the same answer", async () => {
  const held = await claimOne(stepsOf(offline, api), { resourceClass: intel });
  const path = `/v1/claims/${held.id}`;
  const released = await withKey("r1")<object>("DELETE", path);
  expect(released).toMatchObject({ id: held.id, handle: held.handle });
  expect(await withKey("r1")("DELETE", path)).toEqual(released);
  expect(await problemOf(withKey("r2")("DELETE", path))).toMatchObject({ code: "UNKNOWN_CLAIM" });
  expect(await problemOf(api("DELETE", path))).toMatchObject({
    code: "UNKNOWN_CLAIM",
    status: 404,
  });
  await allFree(api, 5);
  expect((await used(api))[intel]).toBe(0);
});

test("a disabled deployable is not offered but keeps its claim, and is offered again", async () => {
  const held = await claimOne(stepsOf(offline, api), { resourceClass: alveo });
  await bound(stepsOf(offline, api), held.id);
  const path = `/v1/deployables/${held.deployable}`;
  expect(await api("POST", `${path}/disable`)).toMatchObject({ state: "disabled", offered: false });
  expect(await api(`GET`, `/v1/claims/${held.id}`)).toMatchObject({ state: "Bound" });
  await api("DELETE", `/v1/claims/${held.id}`);
  await allFree(api, 4);
  const problem = await problemOf(claim({ resourceClass: alveo }));
  expect(problem).toMatchObject({ code: "NO_CAPACITY" });
  expect(JSON.stringify(problem["explanation"])).toContain("an operator disabled it");
  const forbidden = await problemOf(offline.as("acme", "member")("POST", `${path}/enable`));
  expect(forbidden).toMatchObject({ code: "FORBIDDEN" });
  await api("POST", `${path}/enable`);
  await allFree(api, 5);
});

test("a drained host offers nothing new until it is activated", async () => {
  const held = await claimOne(stepsOf(offline, api), { resourceClass: inspur, host: "host-2" });
  await bound(stepsOf(offline, api), held.id);
  await api("POST", `/v1/hosts/${hostId(1)}/drain`);
  const problem = await problemOf(claim({ resourceClass: inspur, host: "host-2" }));
  expect(problem).toMatchObject({ code: "NO_CAPACITY" });
  expect(await api("GET", `/v1/claims/${held.id}`)).toMatchObject({ state: "Bound" });
  await api("POST", `/v1/hosts/${hostId(1)}/activate`);
  await api("DELETE", `/v1/claims/${held.id}`);
  await allFree(api, 5);
  const again = await claim({ resourceClass: inspur, host: "host-2" });
  await giveBack(again);
});
