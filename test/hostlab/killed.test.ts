import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView, OperationView, ReceiptView } from "#protocol/http/deployables";
import { bound, claimOne } from "../../localstack/tour/steps.ts";
import { functionOf, slowWord } from "./images.ts";
import {
  claimWhen,
  deployablesAt,
  eventually,
  type Lab,
  slots,
  startLab,
  uploaded,
} from "./lab.ts";
import { type Nested, startNested } from "./nested.ts";

let lab: Lab;
let agent: number;
let claim: ClaimView;
let nested: Nested;

beforeAll(async () => {
  lab = await startLab();
  await lab.cardsUp();
  agent = await lab.startAgent();
  await deployablesAt(lab, slots.wholeCard, ({ offered }) => offered);
  const image = await uploaded(lab, 0x1111);
  claim = await claimOne(lab.tour, { image: image.id });
  await bound(lab.tour, claim.id);
  nested = await startNested(lab.guest, "dev");
});
afterAll(async () => {
  if (process.env["LAB_VERBOSE"]) console.log(await lab.log());
  await lab.close();
});

const device = `/sys/bus/pci/devices/${slots.wholeCard}`;

/** Kills the agent the moment a file is there, or is not: in microseconds, from inside. */
async function killWhen(verb: "there" | "gone", path: string): Promise<() => Promise<void>> {
  await lab.guest.sh(
    `guestd kill-when-${verb} ${agent} ${path} > /tmp/killer 2>&1 < /dev/null & echo $! > /tmp/killer.pid; sleep 0.2`,
  );
  return async () => {
    await lab.guest.sh("while [ -e /proc/$(cat /tmp/killer.pid) ]; do sleep 0.1; done");
    expect(await lab.guest.sh("cat /tmp/killer")).toBe("killed");
  };
}

async function attach(): Promise<void> {
  await lab.api("POST", `/v1/claims/${claim.id}/attach`, { hypervisor: "qemu", domain: "dev" });
}

async function detached(): Promise<void> {
  await lab.api("POST", `/v1/claims/${claim.id}/detach`);
  await claimWhen(lab, claim.id, "unplugged", ({ plugged }) => !plugged);
  expect(await nested.devices()).toBe(0);
  await eventually("dfl-pci to be back", async () => {
    const { text } = await lab.guest.run(`basename $(readlink ${device}/driver)`);
    return text.trim() === "dfl-pci" ? true : undefined;
  });
}

async function pluggedOnce(): Promise<void> {
  await claimWhen(lab, claim.id, "plugged", ({ plugged }) => plugged);
  expect(await nested.devices()).toBe(1);
}

test("killed while the ioctl runs, the next agent waits for it and proves what the card says", async () => {
  const image = await uploaded(lab, slowWord(300));
  const { id } = await lab.api<{ id: string }>("POST", `/v1/claims/${claim.id}/program`, {
    image: image.id,
  });
  await eventually("the bitstream to be on its way", async () => {
    const { text } = await lab.guest.run("cat /sys/class/fpga_manager/fpga*/state");
    return /^write/m.test(text) ? true : undefined;
  });
  await lab.guest.sh(`kill -9 ${agent}`);
  agent = await lab.startAgent();
  const operation = await eventually("the operation to end", async () => {
    const now = await lab.api<OperationView>("GET", `/v1/operations/${id}`);
    return now.state === "running" ? undefined : now;
  });
  expect(operation.state).toBe("succeeded");
  const card = await lab.api<DeployableView>("GET", `/v1/deployables/${claim.deployable}`);
  expect(card.loaded.functionId).toBe(functionOf(slowWord(300)));
  const { items } = await lab.api<{ items: ReceiptView[] }>(
    "GET",
    `/v1/deployables/${claim.deployable}/receipts`,
  );
  expect(items[0]).toMatchObject({ kind: "program", functionId: functionOf(slowWord(300)) });
});

test("killed between unbind and bind, the next agent finishes the way into the guest", async () => {
  const killed = await killWhen("gone", `${device}/driver`);
  await attach();
  await killed();
  agent = await lab.startAgent();
  await pluggedOnce();
  await detached();
});

test("killed between bind and plug, the next agent plugs", async () => {
  const killed = await killWhen("there", `${device}/vfio-dev`);
  await attach();
  await killed();
  agent = await lab.startAgent();
  await pluggedOnce();
  await detached();
});

test("killed on the way out of the guest, the next agent gives the card back to its driver", async () => {
  await attach();
  await pluggedOnce();
  const killed = await killWhen("gone", `${device}/driver`);
  await lab.api("POST", `/v1/claims/${claim.id}/detach`);
  await killed();
  agent = await lab.startAgent();
  await detached();
});

test("after a reboot of the host nothing that was proven counts, and the claim is made good again", async () => {
  const before = await lab.api<DeployableView>("GET", `/v1/deployables/${claim.deployable}`);
  await nested.stop();
  await lab.guest.reboot();
  await lab.cardsUp();
  agent = await lab.startAgent();
  const proven = await eventually("the image to be loaded again", async () => {
    const path = `/v1/deployables/${claim.deployable}/receipts`;
    const { items } = await lab.api<{ items: ReceiptView[] }>("GET", path);
    const boots = new Set(items.map(({ bootId }) => bootId));
    return boots.size === 2 ? items[0] : undefined;
  });
  expect(proven).toMatchObject({ kind: "program", functionId: before.loaded.functionId });
  const after = await lab.api<DeployableView>("GET", `/v1/deployables/${claim.deployable}`);
  expect(after.handles[0]?.fence).toBe(before.handles[0]?.fence);
  expect((await lab.api<ClaimView>("GET", `/v1/claims/${claim.id}`)).state).toBe("Bound");
  await lab.api("DELETE", `/v1/claims/${claim.id}`);
  await deployablesAt(lab, slots.wholeCard, ({ offered, clean }) => offered && clean);
});
