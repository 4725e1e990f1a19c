import { createPublicKey, type KeyObject, randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView, OperationView, ReceiptView } from "#protocol/http/deployables";
import type { ImageView } from "#protocol/http/images";
import type { EventView } from "#protocol/http/settings";
import { verifyPermit } from "#protocol/permit";
import { chainStart, receiptDigest, receiptVerifies } from "#protocol/wire/receipt";
import { agentKey, readIdentity } from "../../agent/identity.ts";
import { sweep } from "../../functions/events/sweep.ts";
import { bucketFrom } from "../../functions/parts/bucket.ts";
import { pushFrom } from "../../functions/parts/push.ts";
import { storeFrom } from "../../functions/parts/store.ts";
import type { Api } from "../../localstack/hosts/api.ts";
import { attached, bound, claimOne, finished, until } from "../../localstack/tour/steps.ts";
import { allFree, claimWhen, deployableWhen, stepsOf } from "./settling.ts";
import { type Offline, startOffline } from "./support.ts";
import { activeImage, functionOf, problemOf } from "./uploads.ts";

let offline: Offline;
let api: Api;
let shared: ImageView;
let next: ImageView;
let stateDir: string;

const inspur = "CUSTOM_FPGA_INSPUR_VF";

beforeAll(async () => {
  offline = await startOffline();
  api = offline.as("acme");
  await offline.addHost("host-1", { dfl: 1, sriov: 1 });
  stateDir = join(offline.dataDir, "hosts", "host-1", "agent");
  shared = await activeImage(offline, "acme", "shared", { visibility: "shared" });
  next = await activeImage(offline, "acme", "next");
  await allFree(api, 3);
});

afterAll(async () => {
  await offline.close();
});

/** Claims and waits for the bind. */
async function held(request: object, by: Api = api): Promise<ClaimView> {
  const claim = await claimOne(stepsOf(offline, by), request);
  return await bound(stepsOf(offline, by), claim.id);
}

async function giveBack({ id }: ClaimView): Promise<void> {
  await api("DELETE", `/v1/claims/${id}`);
  await allFree(api, 3);
}

async function receiptsOf(id: string | undefined): Promise<readonly ReceiptView[]> {
  const path = `/v1/deployables/${id}/receipts?limit=200`;
  return (await api<{ items: ReceiptView[] }>("GET", path)).items;
}

/** Receipts once that of the newest generation's program is there: a state is told ahead of its last receipt. */
async function programmedReceipts(id: string | undefined): Promise<readonly ReceiptView[]> {
  return await until(`the receipt of the newest program of ${id}`, async () => {
    const { imageGeneration } = await api<DeployableView>("GET", `/v1/deployables/${id}`);
    const receipts = await receiptsOf(id);
    const [last] = receipts;
    const isTold = last?.kind === "program" && last.imageGeneration === imageGeneration;
    return isTold ? receipts : undefined;
  });
}

const programsOf = (receipts: readonly ReceiptView[]) =>
  receipts.filter(({ kind }) => kind === "program").length;

async function detached(id: string): Promise<ClaimView> {
  await api("POST", `/v1/claims/${id}/detach`);
  return await claimWhen(api, id, ({ plugged }) => !plugged);
}

test("a loaded shared image is used again without another program", async () => {
  const first = await held({ image: shared.id });
  expect((await programmedReceipts(first.deployable))[0]).toMatchObject({
    kind: "program",
    sha256: shared.sha256,
    functionId: functionOf("shared"),
  });
  await giveBack(first);
  const kept = await deployableWhen(api, first.deployable, ({ offered }) => offered);
  expect(kept.loaded).toMatchObject({ imageId: shared.id, functionId: functionOf("shared") });
  const before = await programmedReceipts(first.deployable);
  const second = await held({ image: shared.id }, offline.as("other"));
  expect(second.deployable).toBe(first.deployable);
  expect(await receiptsOf(first.deployable)).toEqual(before);
  await giveBack(second);
});

test("a private image leaves nothing behind for the next tenant", async () => {
  const mine = await held({ image: next.id });
  await giveBack(mine);
  const card = await deployableWhen(api, mine.deployable, ({ offered }) => offered);
  expect(card.loaded).toEqual({ functionId: null });
});

test("a handle is plugged for libvirt, unplugged, and plugged for a container", async () => {
  const claim = await held({ resourceClass: inspur });
  const guest = await attached(stepsOf(offline, api), claim.id);
  const [, bus, slot] = /^0000:(..):(..)\.(.)$/.exec(claim.pciAddress ?? "") ?? [];
  expect(guest.attachment?.xml).toContain(`bus='0x${bus}' slot='0x${slot}'`);
  expect(guest.attachment?.xml).toContain(`<alias name='ua-gatehouse-${claim.id}'/>`);
  const path = `/v1/claims/${claim.id}/attach`;
  const other = await problemOf(api("POST", path, { hypervisor: "cdi" }));
  expect(other).toMatchObject({ code: "IN_USE" });
  const same = await api<ClaimView>("POST", path, { hypervisor: "libvirt", domain: "tour" });
  expect(same.plugged).toBe(true);
  expect((await detached(claim.id)).attachment).toBeUndefined();
  await api("POST", path, { hypervisor: "cdi" });
  const container = await claimWhen(api, claim.id, ({ plugged }) => plugged);
  expect(container.attachment?.cdi).toMatch(/^gatehouse\.local\/fpga=0000-/);
  const directory = join(offline.dataDir, "hosts", "host-1", "cdi");
  const [file] = await readdir(directory);
  expect(file).toBe(`gatehouse.local-fpga-${claim.id}.json`);
  const spec = JSON.parse(await readFile(join(directory, file ?? ""), "utf8")) as object;
  expect(spec).toMatchObject({ cdiVersion: "0.6.0", kind: "gatehouse.local/fpga" });
  await giveBack(claim);
  expect(await readdir(directory)).toEqual([]);
});

test("a guest keeps its claim while its logic is replaced, when the caller says so", async () => {
  const claim = await held({ image: shared.id });
  const guest = await attached(stepsOf(offline, api), claim.id);
  const program = `/v1/claims/${claim.id}/program`;
  const refused = await problemOf(api("POST", program, { image: next.id }));
  expect(refused).toMatchObject({ code: "IN_USE" });
  expect(refused["steps"]).toHaveLength(2);
  const started = await api<OperationView>("POST", program, { image: next.id, replug: true });
  await finished(stepsOf(offline, api), started.id);
  const again = await claimWhen(api, claim.id, ({ plugged }) => plugged);
  expect(again).toMatchObject({ state: "Bound", fence: claim.fence });
  expect(again.attachment?.xml).toBe(guest.attachment?.xml);
  const card = await deployableWhen(api, claim.deployable, ({ state }) => state === "ready");
  expect(card.loaded).toMatchObject({ sha256: next.sha256, functionId: functionOf("next") });
  await giveBack(claim);
});

test("a loaded image is programmed again only by force", async () => {
  const claim = await held({ image: next.id });
  const path = `/v1/claims/${claim.id}/program`;
  const count = async () => programsOf(await receiptsOf(claim.deployable));
  const once = await count();
  const same = await api<OperationView>("POST", path, { image: next.id });
  await finished(stepsOf(offline, api), same.id);
  expect(await count()).toBe(once);
  const forced = await api<OperationView>("POST", path, { image: next.id, force: true });
  await finished(stepsOf(offline, api), forced.id);
  expect(await count()).toBe(once + 1);
  await giveBack(claim);
});

test("only the project that holds a deployable programs it, and only with what fits", async () => {
  const claim = await held({ image: shared.id });
  const path = `/v1/deployables/${claim.deployable}/program`;
  const stranger = offline.as("stranger", "member");
  const refused = await problemOf(stranger("POST", path, { image: shared.id }));
  expect(refused).toMatchObject({ code: "IN_USE" });
  const unknown = await problemOf(api("POST", path, { image: randomUUID() }));
  expect(unknown).toMatchObject({ code: "UNKNOWN_IMAGE" });
  const fixed = await held({ resourceClass: inspur });
  const misfit = `/v1/claims/${fixed.id}/program`;
  expect(await problemOf(api("POST", misfit, { image: shared.id }))).toMatchObject({
    code: "IMAGE_INCOMPATIBLE",
  });
  const own = await api<OperationView>("POST", path, { image: next.id });
  await finished(stepsOf(offline, api), own.id);
  await api("DELETE", `/v1/claims/${fixed.id}`);
  await giveBack(claim);
  const free = await problemOf(api("POST", path, { image: next.id }));
  expect(free).toMatchObject({ code: "WRONG_STATE" });
});

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

test("a lease that is renewed goes on, one that ends releases its claim", async () => {
  const [kept, left] = await Promise.all([
    held({ resourceClass: inspur, leaseSeconds: 60 }),
    held({ resourceClass: inspur, leaseSeconds: 60 }),
  ]);
  const renewed = await api<ClaimView>("POST", `/v1/claims/${kept.id}/renew`, {
    leaseSeconds: 3600,
  });
  expect(Date.parse(renewed.leaseUntil ?? "")).toBeGreaterThan(Date.now() + 3_500_000);
  expect(await sweepAt(61_000)).toMatchObject({ endedLeases: 1, failures: 0 });
  const gone = await problemOf(api("GET", `/v1/claims/${left.id}`));
  expect(gone).toMatchObject({ code: "UNKNOWN_CLAIM" });
  expect(await api("GET", `/v1/claims/${kept.id}`)).toMatchObject({ state: "Bound" });
  await giveBack(kept);
});

test("a Bound claim carries a permit that its host can verify", async () => {
  const claim = await claimOne(stepsOf(offline, api), { image: next.id, leaseSeconds: 600 });
  expect(claim.permit).toBeUndefined();
  const { permit = "" } = await bound(stepsOf(offline, api), claim.id);
  const identity = await readIdentity(stateDir);
  const key = createPublicKey(identity?.permitKey ?? "");
  const told = await verifyPermit(permit, key, Date.now());
  expect(told).toMatchObject({
    claim: claim.id,
    host: claim.host,
    deployable: claim.deployable,
    handle: claim.handle,
    fence: claim.fence,
    sha256: next.sha256,
  });
  expect(told.exp * 1000).toBeLessThanOrEqual(Date.parse(claim.leaseUntil ?? ""));
  await giveBack(claim);
});

test("receipts are one chain that the host's key has signed", async () => {
  const claim = await held({ image: shared.id });
  await giveBack(claim);
  const receipts = await programmedReceipts(claim.deployable);
  expect(receipts.length).toBeGreaterThan(2);
  const key = createPublicKey(await agentKey(stateDir, false));
  let previous = chainStart;
  for (const [index, receipt] of receipts.toReversed().entries()) {
    expect(receipt.number).toBe(index + 1);
    expect(receipt.previous).toBe(previous);
    previous = proven(receipt, key);
    expect(receipt.digest).toBe(previous);
  }
  const [last, before] = receipts;
  expect([last?.kind, before?.kind]).toEqual(["program", "scrub"]);
});

/** The digest of a receipt whose signature holds. */
function proven(receipt: ReceiptView, key: KeyObject): string {
  const { at, signature, digest: _digest, publicKey, ...facts } = receipt;
  const body = { ...facts, at: Date.parse(at) };
  expect(publicKey).toBe(key.export({ type: "spki", format: "der" }).toString("base64"));
  expect(receiptVerifies({ body, signature }, key)).toBe(true);
  expect(receiptVerifies({ body: { ...body, number: 99 }, signature }, key)).toBe(false);
  return receiptDigest(body);
}

test("events tell the story of a claim", async () => {
  const claim = await held({ resourceClass: inspur });
  await attached(stepsOf(offline, api), claim.id);
  await giveBack(claim);
  const told = await until("the release to be told", async () => {
    const path = `/v1/events?claim=${claim.id}&limit=200`;
    const { items } = await api<{ items: EventView[] }>("GET", path);
    return items.some(({ kind }) => kind === "claim.released") ? items.toReversed() : undefined;
  });
  const story = told.map(({ kind, text }) => `${kind}: ${text}`);
  expect(story[0]).toMatch(/^claim\.granted: granted CUSTOM_FPGA_INSPUR_VF at 0000:/);
  expect(story).toContain("claim.state: BindStarted → Bound");
  expect(story.some((line) => /^handle\.state: vf\d at .*claimed → plugged/.test(line))).toBe(true);
  const { items } = await offline.as("stranger", "reader")<{ items: EventView[] }>(
    "GET",
    `/v1/events?claim=${claim.id}`,
  );
  expect(items).toEqual([]);
});
