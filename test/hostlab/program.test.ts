import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView, OperationView, ReceiptView } from "#protocol/http/deployables";
import type { ImageView } from "#protocol/http/images";
import { bound, claimOne, refused } from "../../localstack/tour/steps.ts";
import { functionOf, words } from "./images.ts";
import {
  claimWhen,
  deployablesAt,
  eventually,
  type Lab,
  slots,
  startLab,
  uploaded,
} from "./lab.ts";
import { startNested } from "./nested.ts";

let lab: Lab;
let claim: ClaimView;

beforeAll(async () => {
  lab = await startLab();
  await lab.cardsUp();
  await lab.startAgent();
});
afterAll(async () => {
  if (process.env["LAB_VERBOSE"]) console.log(await lab.log());
  await lab.close();
});

/** What the port's own register says, dashes put in. */
async function afuId(): Promise<string> {
  const text = await lab.guest.sh(
    `cat /sys/bus/pci/devices/${slots.wholeCard}/fpga_region/region*/dfl-port.*/afu_id`,
  );
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

async function cardWhen(what: string, fits: (card: DeployableView) => boolean) {
  return await eventually(what, async () => {
    const card = await lab.api<DeployableView>("GET", `/v1/deployables/${claim.deployable}`);
    return fits(card) ? card : undefined;
  });
}

async function program(image: ImageView, options: object = {}): Promise<OperationView> {
  const body = { image: image.id, ...options };
  const { id } = await lab.api<{ id: string }>("POST", `/v1/claims/${claim.id}/program`, body);
  return await eventually(`operation ${id} to end`, async () => {
    const operation = await lab.api<OperationView>("GET", `/v1/operations/${id}`);
    return operation.state === "running" ? undefined : operation;
  });
}

test("finds every card, and says of each handle whether and why not it can be attached", async () => {
  const [whole] = await deployablesAt(lab, slots.wholeCard, (one) => one.offered);
  expect(whole).toMatchObject({
    layout: "whole",
    vendor: "intel",
    product: "lab-dfl",
    driver: "dfl",
    scrubMethod: "erase",
    loaded: { functionId: null },
    handles: [{ name: "pf", type: "PF", pciAddress: slots.wholeCard, attachable: true }],
  });
  const ports = await deployablesAt(lab, slots.twoPorts);
  expect(ports.map((one) => one.region).sort()).toEqual(["port0", "port1"]);
  for (const { offered, handles } of ports) {
    expect(offered).toBe(false);
    expect(handles).toMatchObject([{ attachable: false, reason: /SR-IOV/ }].map(matching));
  }
});

const matching = ({ reason, ...rest }: { attachable: boolean; reason: RegExp }) => ({
  ...rest,
  reason: expect.stringMatching(reason),
});

test("a claim with an image is programmed through the kernel's own ioctl, and the card says so", async () => {
  const image = await uploaded(lab, 0x1111);
  claim = await claimOne(lab.tour, { image: image.id });
  expect(claim.pciAddress).toBe(slots.wholeCard);
  await bound(lab.tour, claim.id);
  expect(await afuId()).toBe(functionOf(0x1111));
  const { items } = await lab.api<{ items: ReceiptView[] }>(
    "GET",
    `/v1/deployables/${claim.deployable}/receipts`,
  );
  expect(items[0]).toMatchObject({ kind: "program", functionId: functionOf(0x1111) });
});

test("an image for another shell is refused before the first byte", async () => {
  const other = await uploaded(lab, 0x2222, "99999999-9999-4999-8999-999999999999");
  const path = `/v1/claims/${claim.id}/program`;
  expect(await refused(lab.api("POST", path, { image: other.id }))).toBe("IMAGE_INCOMPATIBLE");
  expect(await afuId()).toBe(functionOf(0x1111));
});

test("a port that a process has open is not programmed, and the holder is named", async () => {
  const node = await lab.guest.sh(
    `basename $(readlink -f /sys/bus/pci/devices/${slots.wholeCard}/fpga_region/region*/dfl-port.*)`,
  );
  await lab.guest.sh(
    `sleep 600 3<> /dev/${node} > /dev/null 2>&1 < /dev/null & echo $! > /tmp/holder`,
  );
  const image = await uploaded(lab, 0x3333);
  const { id } = await lab.api<{ id: string }>("POST", `/v1/claims/${claim.id}/program`, {
    image: image.id,
  });
  const told = await eventually("the holder to be told", async () => {
    const operation = await lab.api<OperationView>("GET", `/v1/operations/${id}`);
    return operation.error;
  });
  expect(told).toMatchObject({ code: "IN_USE", message: expect.stringContaining("sleep") });
  expect(await afuId()).toBe(functionOf(0x1111));
  await lab.guest.sh("kill $(cat /tmp/holder)");
  await eventually("the image to go in once the port is free", async () => {
    const operation = await lab.api<OperationView>("GET", `/v1/operations/${id}`);
    return operation.state === "succeeded" ? true : undefined;
  });
  expect(await afuId()).toBe(functionOf(0x3333));
});

test("a CRC error is told as such, degrades the card, and a rebind cures it when it is free", async () => {
  const broken = await uploaded(lab, words.crcError);
  const operation = await program(broken);
  expect(operation).toMatchObject({
    state: "failed",
    error: { code: "PROGRAM_FAILED", message: expect.stringContaining("CRC") },
  });
  const card = await cardWhen("degraded", ({ health }) => health.state === "degraded");
  expect(card.health.reason).toContain("reset");
  const good = await uploaded(lab, 0x4444);
  expect(await program(good)).toMatchObject({ state: "succeeded" });
  expect(await afuId()).toBe(functionOf(0x4444));
  await cardWhen("well again", ({ health }) => health.state === "unmonitored");
});

test("new logic goes in under a running guest: unplugged, programmed, read back, plugged again", async () => {
  const nested = await startNested(lab.guest, "dev");
  await lab.api("POST", `/v1/claims/${claim.id}/attach`, { hypervisor: "qemu", domain: "dev" });
  await claimWhen(lab, claim.id, "plugged", ({ plugged }) => plugged);
  expect(await nested.devices()).toBe(1);
  const image = await uploaded(lab, 0x5555);
  const path = `/v1/claims/${claim.id}/program`;
  expect(await refused(lab.api("POST", path, { image: image.id }))).toBe("IN_USE");
  expect(await program(image, { replug: true })).toMatchObject({ state: "succeeded" });
  await claimWhen(lab, claim.id, "plugged again", ({ plugged }) => plugged);
  expect(await nested.devices()).toBe(1);
  const card = await cardWhen("proven", ({ loaded }) => loaded.functionId === functionOf(0x5555));
  expect(card.loaded.imageId).toBe(image.id);
  await lab.api("POST", `/v1/claims/${claim.id}/detach`);
  await claimWhen(lab, claim.id, "unplugged", ({ plugged }) => !plugged);
  expect(await nested.devices()).toBe(0);
  await eventually("the kernel's driver to be back", async () => {
    const { text } = await lab.guest.run(
      `basename $(readlink /sys/bus/pci/devices/${slots.wholeCard}/driver)`,
    );
    return text.trim() === "dfl-pci" ? true : undefined;
  });
  expect(await afuId()).toBe(functionOf(0x5555));
  await nested.stop();
});

test("a released card is erased, proven clean by a receipt, and offered again", async () => {
  await lab.api("DELETE", `/v1/claims/${claim.id}`);
  const card = await cardWhen("offered", ({ offered }) => offered);
  expect(card).toMatchObject({ clean: true, loaded: { functionId: null } });
  expect(await afuId()).toBe(functionOf(words.blank));
});
