import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Hypervisor } from "../../../agent/hypervisors/hypervisor.ts";
import { qemu } from "../../../agent/hypervisors/qemu.ts";
import { faultOf, handle } from "../../conformance/hypervisor.ts";
import { FakeQemu } from "./fake-qemu.ts";

const target = { hypervisor: "qemu", domain: "guest" } as const;
let folder: string;
let guest: FakeQemu;
let plugin: Hypervisor;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gatehouse-qmp-"));
  guest = new FakeQemu(join(folder, "guest.sock"));
  await guest.start();
  plugin = qemu({ directory: folder });
});
afterEach(async () => {
  await guest.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A plugin whose deadline is over as soon as the guest has heard so much. */
const impatient = (heard: () => boolean): Hypervisor =>
  qemu({
    directory: folder,
    sleep: async () => {
      await vi.waitUntil(heard, { interval: 1 });
    },
  });
const removalAsked = () => guest.asked.includes("device_del");
const connected = () => guest.connections > 0;

test("takes the first empty root port, and the next one for the next device", async () => {
  expect(await plugin.plug(handle, target)).toMatchObject({ bus: "hp0" });
  const other = { ...handle, address: "0000:3b:00.2", claim: handle.claim.replaceAll("9", "7") };
  expect(await plugin.plug(other, target)).toMatchObject({ bus: "hp1" });
  const third = { ...handle, claim: handle.claim.replaceAll("9", "5") };
  expect(await faultOf(plugin.plug(third, target))).toMatchObject({ code: "PLUG_FAILED" });
});

test("takes the root port that is asked for, and says QEMU's words when it cannot be had", async () => {
  expect(await plugin.plug(handle, { ...target, bus: "hp1" })).toMatchObject({ bus: "hp1" });
  const other = { ...handle, claim: handle.claim.replaceAll("9", "7") };
  await expect(plugin.plug(other, { ...target, bus: "hp1" })).rejects.toThrow(/not available/);
  await expect(plugin.plug(other, { ...target, bus: "hp9" })).rejects.toThrow("'hp9' not found");
});

test("the device's id has at most 40 characters and is not mistaken for another device", async () => {
  const { device } = await plugin.plug(handle, target);
  expect(device).toMatch(/^gatehouse-[0-9a-f]{24}$/);
  const moved = { ...handle, address: "0000:3b:00.2" };
  expect(await faultOf(plugin.plug(moved, target))).toMatchObject({ code: "PLUG_FAILED" });
});

test("a guest that refuses fails the unplug at once, and a later one is free to try again", async () => {
  await plugin.plug(handle, target);
  guest.manners.refuses = true;
  await expect(plugin.unplug(handle, target)).rejects.toThrow(/refuses/);
  expect(guest.devices.size).toBe(1);
  guest.manners.refuses = false;
  await plugin.unplug(handle, target);
  expect(guest.devices.size).toBe(0);
});

test("a stopped guest ends the wait at the deadline; the next unplug waits for the same end", async () => {
  const { device = "" } = await plugin.plug(handle, target);
  guest.manners.stopped = true;
  expect(await faultOf(impatient(removalAsked).unplug(handle, target))).toMatchObject({
    code: "UNPLUG_FAILED",
  });
  guest.asked.length = 0;
  const again = plugin.unplug(handle, target);
  await expect.poll(() => guest.asked).toContain("device_del");
  await guest.letGo(device);
  await again;
});

test("a QEMU that is gone holds nothing, one that is not there cannot be plugged into", async () => {
  await guest.stop();
  await plugin.unplug(handle, target);
  expect(await faultOf(plugin.plug(handle, target))).toMatchObject({ code: "PLUG_FAILED" });
});

test("a QEMU that exits while it is asked fails that unplug; the next finds it gone", async () => {
  await plugin.plug(handle, target);
  guest.manners.exits = true;
  expect(await faultOf(plugin.unplug(handle, target))).toMatchObject({ code: "UNPLUG_FAILED" });
  await plugin.unplug(handle, target);
});

test("a QMP socket that somebody else has, or that speaks no JSON, fails with a fault", async () => {
  guest.manners.silent = true;
  const hung = impatient(connected);
  expect(await faultOf(hung.plug(handle, target))).toMatchObject({ code: "PLUG_FAILED" });
  expect(await faultOf(hung.unplug(handle, target))).toMatchObject({ code: "UNPLUG_FAILED" });
  guest.manners.silent = false;
  guest.manners.garbage = true;
  expect(await faultOf(plugin.plug(handle, target))).toMatchObject({ code: "PLUG_FAILED" });
});

test("no connection outlives a call, not even one that failed", async () => {
  await plugin.plug(handle, target);
  guest.manners.stopped = true;
  await faultOf(impatient(removalAsked).unplug(handle, target));
  await expect.poll(() => guest.connections).toBe(0);
});
