import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";
import type { HypervisorName } from "#domain/hypervisors";
import { realSleep, type Sleep } from "../../agent/host/deadline.ts";
import { openVirsh } from "../../agent/host/linux/virsh.ts";
import { hypervisors } from "../../agent/hypervisors/index.ts";
import { libvirt } from "../../agent/hypervisors/libvirt.ts";
import { qemu } from "../../agent/hypervisors/qemu.ts";
import { FakeQemu } from "../agent/hypervisors/fake-qemu.ts";
import { FakeVirsh } from "../agent/support/fake-virsh.ts";
import { describeHypervisor, type Stage } from "./hypervisor.ts";

/** A clock whose deadline is over when the guest was asked; shorter sleeps are what they are. */
const overWhen =
  (asked: () => boolean | Promise<boolean>, deadlineMs: number): Sleep =>
  async (ms, signal) => {
    if (ms < deadlineMs) await realSleep(ms, signal);
    else await vi.waitUntil(asked, { interval: 5, timeout: 10_000 });
  };

async function open(name: HypervisorName): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "gatehouse-plug-"));
  const guest = new FakeQemu(join(folder, "guest.sock"));
  await guest.start();
  const cdi = { directory: join(folder, "cdi") };
  const all = hypervisors({ cdi, qemu: { directory: folder } });
  const plugin = all.find((one) => one.name === name);
  if (plugin === undefined) throw new Error(`no plugin ${name}`);
  return {
    plugin,
    async traces() {
      const files = await readdir(cdi.directory).catch(() => []);
      return [
        ...files,
        ...(await readdir(folder)).filter((one) => one !== "cdi"),
        ...guest.devices.keys(),
      ];
    },
    async stalled(call) {
      if (call === "plug") guest.manners.silent = true;
      guest.manners.stopped = true;
      const asked = () =>
        call === "plug" ? guest.connections > 0 : guest.asked.at(-1) === "device_del";
      guest.asked.length = 0;
      return qemu({ directory: folder, sleep: overWhen(asked, 20_000) });
    },
    async close() {
      await guest.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function openLibvirt(): Promise<Stage> {
  const fake = await FakeVirsh.make();
  const folder = join(fake.home, "xml");
  const virsh = await openVirsh({ path: fake.path, uri: "qemu:///system", folder });
  if (virsh === undefined) throw new Error("no virsh");
  return {
    plugin: libvirt({ virsh, pollMs: 5 }),
    async traces() {
      await vi.waitUntil(async () => (await fake.living()).length === 0);
      return [...(await readdir(folder).catch(() => [])), ...(await fake.devices())];
    },
    async stalled(call) {
      await fake.behave(call === "plug" ? "hang-attach-device" : "keeps");
      const asked = async () =>
        call === "plug"
          ? (await fake.living()).length > 0
          : (await fake.told("calls")).some((line) => line.startsWith("detach-device-alias"));
      const impatient = { path: fake.path, uri: "qemu:///system", folder, changeMs: 500 };
      const hung = await openVirsh(impatient);
      if (hung === undefined) throw new Error("no virsh");
      return libvirt({ virsh: hung, pollMs: 5, sleep: overWhen(asked, 30_000) });
    },
    close: () => fake.close(),
  };
}

describeHypervisor("libvirt", () => open("libvirt"));
describeHypervisor("libvirt", openLibvirt, { guest: "optional" });
describeHypervisor("qemu", () => open("qemu"), { guest: "needed" });
describeHypervisor("cdi", () => open("cdi"));
describeHypervisor("openstack", () => open("openstack"));
