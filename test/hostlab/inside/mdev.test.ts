import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { realSleep } from "../../../agent/host/deadline.ts";
import { kernelChildren } from "../../../agent/host/linux/children.ts";
import { linuxSysfs } from "../../../agent/host/linux/sysfs.ts";
import { createMdev, mdevGroup, mdevPath, removeMdev } from "../../../agent/host/mdev.ts";
import { qemu } from "../../../agent/hypervisors/qemu.ts";

const repository = join(import.meta.dirname, "../../..");
const children = kernelChildren({
  script: join(repository, "agent/kernel-child.ts"),
  sleep: realSleep,
});
const port = linuxSysfs({ root: "", children });
const host = { port, deadlineMs: 30_000 };
const uuid = "7d3f6f6e-52a0-4b8e-9a53-1f0f5f6a7b01";
const claim = "5b6c0d1e-0a1b-4c2d-8e3f-405162738495";
const sockets = join(tmpdir(), "qmp");

let guest: ChildProcess;

beforeAll(async () => {
  mkdirSync(sockets, { recursive: true });
  const words = "-M q35 -accel tcg -m 64 -nodefaults -display none".split(" ");
  guest = spawn("qemu-system-x86_64", [
    ...words,
    "-bios",
    join(repository, ".build/hostlab/bin/ejector.bin"),
    "-device",
    "pcie-root-port,id=hp0,chassis=9,slot=9",
    "-qmp",
    `unix:${sockets}/mdev.sock,server=on,wait=off`,
  ]);
  while (!existsSync(`${sockets}/mdev.sock`)) await pause(50);
});
afterAll(() => {
  guest.kill("SIGKILL");
  children.close();
});

test("a mediated device is made, plugged into a running guest, kept while it is held, and ended", async () => {
  const [parent = ""] = await port.list("/sys/class/mdev_bus");
  const [type = ""] = await port.list(`/sys/class/mdev_bus/${parent}/mdev_supported_types`);
  await createMdev(host, { parent, type, uuid });
  await createMdev(host, { parent, type, uuid });
  const group = await mdevGroup(port, uuid);
  const handle = {
    deployable: claim,
    name: "mdev0",
    type: "MDEV",
    address: "",
    mdev: uuid,
    claim,
    ...(group === undefined ? {} : { iommuGroup: group }),
  } as const;
  const plugin = qemu({ directory: sockets, ms: 60_000 });
  const target = { hypervisor: "qemu", domain: "mdev" } as const;
  const attachment = await plugin.plug(handle, target);
  expect(attachment).toMatchObject({ hypervisor: "qemu", bus: "hp0" });
  expect(await plugin.plug(handle, target)).toEqual(attachment);
  const [holder] = await port.holders(`/dev/vfio/${group}`);
  expect(holder?.pid).toBe(guest.pid);
  await expect(removeMdev(host, uuid)).rejects.toMatchObject({ code: "IN_USE" });
  await plugin.unplug(handle, target);
  await plugin.unplug(handle, target);
  expect(await port.holders(`/dev/vfio/${group}`)).toEqual([]);
  await removeMdev(host, uuid);
  expect(await port.exists(mdevPath(uuid))).toBe(false);
  await removeMdev(host, uuid);
});

test("a type or parent that is not there is named", async () => {
  const nobody = { parent: "nobody", type: "mtty-1", uuid };
  await expect(createMdev(host, nobody)).rejects.toMatchObject({ code: "NOT_FOUND" });
});
