import { afterAll, beforeAll, expect, test } from "vitest";
import type { CardOperationView } from "#protocol/http/cards";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView } from "#protocol/http/deployables";
import { bound, claimOne } from "../../localstack/tour/steps.ts";
import { claimWhen, deployablesAt, eventually, type Lab, slots, startLab } from "./lab.ts";
import { startNested } from "./nested.ts";

let lab: Lab;

beforeAll(async () => {
  lab = await startLab();
  // A second function of the pair on a driver of the host makes its whole group unusable.
  await lab.guest.sh(`cd /sys/bus/pci/devices/${slots.pairOther}
    echo pci-pf-stub > driver_override; echo ${slots.pairOther} > /sys/bus/pci/drivers_probe
    [ -e driver ]`);
  await lab.startAgent();
});
afterAll(async () => {
  if (process.env["LAB_VERBOSE"]) console.log(await lab.log());
  await lab.close();
});

const device = `/sys/bus/pci/devices/${slots.nvme}`;
const vfCount = async () => Number(await lab.guest.sh(`ls ${device} | grep -c virtfn || true`));
const driverAt = async (address: string) =>
  (await lab.guest.run(`basename $(readlink /sys/bus/pci/devices/${address}/driver) 2>&1`)).text
    .trim()
    .split("\n")[0];

async function operate(body: object): Promise<CardOperationView> {
  const [one] = await deployablesAt(lab, slots.nvme);
  const path = `/v1/devices/${one?.device}/operations`;
  const begun = await lab.api<CardOperationView>("POST", path, body);
  return await eventually(`the card operation ${JSON.stringify(body)}`, async () => {
    const now = await lab.api<CardOperationView>("GET", `${path}/${begun.id}`);
    return now.state === "succeeded" || now.state === "failed" ? now : undefined;
  });
}

async function claimHandle(address: string, name: string): Promise<ClaimView> {
  const [one] = await deployablesAt(lab, address, ({ offered }) => offered);
  expect(one?.handles.some((handle) => handle.name === name && handle.attachable)).toBe(true);
  const claim = await claimOne(lab.tour, { deployable: one?.id });
  return await bound(lab.tour, claim.id);
}

async function plugged(claim: ClaimView, domain: string): Promise<ClaimView> {
  await lab.api("POST", `/v1/claims/${claim.id}/attach`, { hypervisor: "qemu", domain });
  return await claimWhen(lab, claim.id, "plugged", (now) => now.plugged);
}

async function unplugged(claim: ClaimView): Promise<void> {
  await lab.api("POST", `/v1/claims/${claim.id}/detach`);
  await claimWhen(lab, claim.id, "unplugged", (now) => !now.plugged);
}

test("a handle whose group has a function on a driver of the host is shown, with the reason, and not offered", async () => {
  const [one] = await deployablesAt(lab, slots.pair);
  expect(one).toMatchObject({
    offered: false,
    handles: [{ attachable: false, reason: "GROUP_NOT_VIABLE" }],
  });
});

test("a whole card goes into a running guest, and back to the driver it had", async () => {
  expect(await driverAt(slots.nvme)).toBe("nvme");
  const claim = await claimHandle(slots.nvme, "pf");
  const nested = await startNested(lab.guest, "pf");
  await plugged(claim, "pf");
  expect(await nested.devices()).toBe(1);
  expect(await driverAt(slots.nvme)).toBe("vfio-pci");
  await unplugged(claim);
  expect(await nested.devices()).toBe(0);
  await eventually("nvme to be back", async () =>
    (await driverAt(slots.nvme)) === "nvme" ? true : undefined,
  );
  await nested.stop();
  await lab.api("DELETE", `/v1/claims/${claim.id}`);
  await deployablesAt(lab, slots.nvme, ({ offered }) => offered);
});

test("virtual functions are made, claimed, plugged into a running guest, and cleaned", async () => {
  expect(await operate({ kind: "layout", layout: "vfs", vfs: 2 })).toMatchObject({
    state: "succeeded",
  });
  expect(await vfCount()).toBe(2);
  const [card] = await deployablesAt(lab, slots.nvme, ({ offered }) => offered);
  const present = card?.handles.filter((one) => one.attachable);
  expect(present?.map(({ type }) => type)).toEqual(["VF", "VF"]);
  const claim = await claimHandle(slots.nvme, "vf0");
  const address = claim.pciAddress ?? "";
  expect(await driverAt(address)).not.toBe("nvme");
  const nested = await startNested(lab.guest, "vf");
  await plugged(claim, "vf");
  expect(await nested.devices()).toBe(1);
  expect(await driverAt(address)).toBe("vfio-pci");
  await unplugged(claim);
  expect(await nested.devices()).toBe(0);
  await nested.stop();
  await lab.api("DELETE", `/v1/claims/${claim.id}`);
  await deployablesAt(lab, slots.nvme, ({ offered }) => offered);
  expect(await driverAt(address)).not.toBe("vfio-pci");
});

test("no layout changes while a process has a virtual function, and nothing is written", async () => {
  const settled = ({ handles }: DeployableView) => handles.every(({ state }) => state === "free");
  const [card] = await deployablesAt(lab, slots.nvme, settled);
  // The cloud would refuse at once if the agent could tell it of the process.
  await lab.pauseAgent(true);
  const ended = operate({ kind: "layout", layout: "pf" });
  const held = card?.handles.find((one) => one.name === "vf1")?.pciAddress ?? "";
  await lab.guest.sh(`cd /sys/bus/pci/devices/${held}
    echo vfio-pci > driver_override; echo ${held} > /sys/bus/pci/drivers_probe
    vfiohold $(basename $(readlink iommu_group)) ${held} 600 > /tmp/held 2>&1 < /dev/null &
    echo $! > /tmp/holder; until grep -q held /tmp/held; do sleep 0.1; done`);
  await lab.pauseAgent(false);
  expect(await ended).toMatchObject({
    state: "failed",
    error: { code: "IN_USE", message: expect.stringContaining("vfiohold") },
  });
  expect(await vfCount()).toBe(2);
  await lab.guest.sh(`kill $(cat /tmp/holder); cd /sys/bus/pci/devices/${held}; sleep 0.5
    echo > driver_override; echo ${held} > /sys/bus/pci/drivers/vfio-pci/unbind`);
  await deployablesAt(lab, slots.nvme, (one) => one.offered && settled(one));
  expect(await operate({ kind: "layout", layout: "pf" })).toMatchObject({ state: "succeeded" });
  expect(await vfCount()).toBe(0);
  expect(await driverAt(slots.nvme)).toBe("nvme");
});
