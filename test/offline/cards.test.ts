import { afterAll, beforeAll, expect, test } from "vitest";
import type { CardOperationView } from "#protocol/http/cards";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView, DeviceView } from "#protocol/http/deployables";
import type { Api } from "../../localstack/hosts/api.ts";
import { until } from "../../localstack/tour/steps.ts";
import { claimWhen, deployables, deployableWhen } from "./settling.ts";
import { type Offline, startOffline } from "./support.ts";

let offline: Offline;
let api: Api;

beforeAll(async () => {
  offline = await startOffline();
  api = offline.as("acme");
  await offline.addHost("host-1", { sriov: 1 });
});

afterAll(async () => {
  await offline.close();
});

async function theCard(): Promise<DeviceView> {
  const { items } = await api<{ items: DeviceView[] }>("GET", "/v1/devices");
  const [card] = items;
  if (card === undefined) throw new Error("no card");
  return card;
}

/** Asks for an operation and waits for its end. */
async function operate(body: object): Promise<CardOperationView> {
  const { id } = await theCard();
  const begun = await api<CardOperationView>("POST", `/v1/devices/${id}/operations`, body);
  return await until("the operation to end", async () => {
    const now = await api<CardOperationView>("GET", `/v1/devices/${id}/operations/${begun.id}`);
    return now.state === "succeeded" || now.state === "failed" ? now : undefined;
  });
}

/** Puts a claim's handle into a guest. */
async function attached(claim: string): Promise<void> {
  await claimWhen(api, claim, ({ state }) => state === "Bound");
  await api("POST", `/v1/claims/${claim}/attach`, { hypervisor: "libvirt", domain: "guest" });
  await claimWhen(api, claim, ({ plugged }) => plugged);
}

const attachable = ({ handles }: DeployableView) =>
  handles.filter((one) => one.attachable).toSorted((a, b) => (a.name < b.name ? -1 : 1));
const isFree = (one: DeployableView) =>
  one.offered && attachable(one).every(({ state }) => state === "free");
/** What there is of a class, as a claim would find it. */
async function counted(name: string) {
  const path = "/v1/resource-classes";
  const { items } = await api<{ items: { name: string }[] }>("GET", path);
  return items.find((one) => one.name === name);
}

test("a card goes from VFs to its PF and back, but never under a claim", async () => {
  const one = await until("the card on offer", async () => (await deployables(api)).find(isFree));
  expect(one).toMatchObject({ layout: "vfs" });
  expect(attachable(one).map(({ name }) => name)).toEqual(["vf0", "vf1", "vf2", "vf3"]);
  const { resourceClass } = one;
  expect(resourceClass).toMatch(/_VF$/);

  const { claims } = await api<{ claims: ClaimView[] }>("POST", "/v1/claims", { resourceClass });
  const claim = claims[0]?.id ?? "";
  await attached(claim);
  await expect(operate({ kind: "layout", layout: "pf" })).rejects.toMatchObject({
    status: 409,
    problem: { code: "IN_USE", claim, deployable: one.id },
  });
  await api("DELETE", `/v1/claims/${claim}`);
  await deployableWhen(api, one.id, isFree);

  expect(await operate({ kind: "layout", layout: "pf" })).toMatchObject({ state: "succeeded" });
  const pf = await deployableWhen(api, one.id, isFree);
  expect(pf.layout).toBe("pf");
  expect(attachable(pf).map(({ name }) => name)).toEqual(["pf"]);
  expect((await theCard()).layout).toBe("pf");
  const pfClass = resourceClass.replace(/_VF$/, "_PF");
  expect(pf.resourceClass).toBe(pfClass);
  expect(await counted(pfClass)).toMatchObject({ total: 1, free: 1 });
  expect(await counted(resourceClass)).toBeUndefined();
  const fences = new Map(pf.handles.map(({ name, fence }) => [name, fence]));

  const again = await api<{ claims: ClaimView[] }>("POST", "/v1/claims", {
    resourceClass: pfClass,
  });
  expect(again.claims[0]).toMatchObject({ handle: "pf" });
  await attached(again.claims[0]?.id ?? "");
  await api("DELETE", `/v1/claims/${again.claims[0]?.id ?? ""}`);
  await deployableWhen(api, one.id, isFree);

  expect(await operate({ kind: "layout", layout: "vfs", vfs: 5 })).toMatchObject({
    state: "failed",
    error: { code: "INVALID_REQUEST" },
  });
  await deployableWhen(api, one.id, isFree);
  expect(await operate({ kind: "layout", layout: "vfs", vfs: 2 })).toMatchObject({
    state: "succeeded",
  });
  const back = await deployableWhen(api, one.id, isFree);
  expect(attachable(back).map(({ name }) => name)).toEqual(["vf0", "vf1"]);
  for (const { name, fence } of back.handles) {
    expect(fence).toBeGreaterThanOrEqual(fences.get(name) ?? 0);
  }
  expect(await counted(resourceClass)).toMatchObject({ total: 2, free: 2 });
  expect(await operate({ kind: "rebind" })).toMatchObject({ state: "succeeded" });
  await deployableWhen(api, one.id, isFree);
  expect(await operate({ kind: "rescan" })).toMatchObject({ state: "succeeded" });
}, 60_000);
