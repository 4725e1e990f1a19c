import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HypervisorName } from "#domain/hypervisors";
import { hypervisors } from "../../agent/hypervisors/index.ts";
import { FakeQemu } from "../agent/hypervisors/fake-qemu.ts";
import { describeHypervisor, type Stage } from "./hypervisor.ts";

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
    async close() {
      await guest.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describeHypervisor("libvirt", () => open("libvirt"));
describeHypervisor("qemu", () => open("qemu"), { needsGuest: true });
describeHypervisor("cdi", () => open("cdi"));
describeHypervisor("openstack", () => open("openstack"));
