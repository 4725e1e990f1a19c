import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isFault } from "#domain/faults";
import type { BoundHandle, Hypervisor } from "../../../agent/hypervisors/hypervisor.ts";
import { hypervisors } from "../../../agent/hypervisors/index.ts";

const claim = "99999999-9999-4999-8999-999999999999";
const handle: BoundHandle = {
  deployable: "88888888-8888-4888-8888-888888888888",
  name: "vf0",
  type: "VF",
  address: "0000:3b:00.1",
  iommuGroup: 42,
  claim,
};

let directory: string;
let plugins: ReadonlyMap<string, Hypervisor>;

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), "gatehouse-cdi-")), "cdi");
  plugins = new Map(
    hypervisors({ cdi: { directory }, qemu: { directory } }).map((one) => [one.name, one]),
  );
});

afterEach(async () => {
  await rm(join(directory, ".."), { recursive: true, force: true });
});

function plugin(name: "libvirt" | "cdi"): Hypervisor {
  const found = plugins.get(name);
  if (found === undefined) throw new Error(`no plugin ${name}`);
  return found;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "no fault";
  } catch (error) {
    return isFault(error) ? error.code : String(error);
  }
}

describe.each(["libvirt", "cdi"] as const)("%s", (name) => {
  test("plugging twice returns the same attachment, unplugging twice is no error", async () => {
    const first = await plugin(name).plug(handle, { hypervisor: name });
    expect(await plugin(name).plug(handle, { hypervisor: name })).toEqual(first);
    expect(first).toMatchObject({ hypervisor: name, pciAddress: handle.address });
    await plugin(name).unplug(handle, { hypervisor: name });
    await plugin(name).unplug(handle, { hypervisor: name });
  });

  test("a claim that is no uuid never becomes part of a document or a path", async () => {
    const hostile = { ...handle, claim: "../../etc/passwd'/>" };
    expect(await codeOf(plugin(name).plug(hostile, { hypervisor: name }))).toBe("PLUG_FAILED");
  });
});

test("libvirt gets the hostdev element of an unmanaged device", async () => {
  const { xml } = await plugin("libvirt").plug(handle, { hypervisor: "libvirt", domain: "guest" });
  expect(xml).toBe(
    "<hostdev mode='subsystem' type='pci' managed='no'>" +
      `<alias name='ua-gatehouse-${claim}'/><driver name='vfio'/>` +
      "<source><address domain='0x0000' bus='0x3b' slot='0x00' function='0x1'/></source></hostdev>",
  );
});

test("libvirt gets a mediated device by its uuid, and none without one", async () => {
  const mediated: BoundHandle = { ...handle, type: "MDEV", address: "" };
  const mdev = "7d3f6f6e-52a0-4b8e-9a53-1f0f5f6a7b01";
  const target = { hypervisor: "libvirt" } as const;
  expect(await plugin("libvirt").plug({ ...mediated, mdev }, target)).toEqual({
    hypervisor: "libvirt",
    xml:
      "<hostdev mode='subsystem' type='mdev' model='vfio-pci'>" +
      `<alias name='ua-gatehouse-${claim}'/><source><address uuid='${mdev}'/></source></hostdev>`,
  });
  for (const bad of [mediated, { ...mediated, mdev: "'/><evil" }]) {
    expect(await codeOf(plugin("libvirt").plug(bad, target))).toBe("PLUG_FAILED");
  }
});

test("a container runtime finds a CDI file while the claim is plugged, and none after", async () => {
  const { cdi } = await plugin("cdi").plug(handle, { hypervisor: "cdi" });
  expect(cdi).toBe("gatehouse.local/fpga=0000-3b-00-1-vf0");
  const [file = "", ...others] = await readdir(directory);
  expect(others).toEqual([]);
  const spec = JSON.parse(await readFile(join(directory, file), "utf8")) as {
    kind: string;
    devices: { name: string; containerEdits: { deviceNodes: { path: string }[] } }[];
  };
  const [device] = spec.devices;
  expect(`${spec.kind}=${device?.name}`).toBe(cdi);
  expect(device?.containerEdits.deviceNodes.map(({ path }) => path)).toEqual([
    "/dev/vfio/vfio",
    "/dev/vfio/42",
  ]);
  await plugin("cdi").unplug(handle, { hypervisor: "cdi" });
  expect(await readdir(directory)).toEqual([]);
});

test("a handle without an IOMMU group has no node to give", async () => {
  const { iommuGroup: _group, ...bare } = handle;
  expect(await codeOf(plugin("cdi").plug(bare, { hypervisor: "cdi" }))).toBe("PLUG_FAILED");
});

test("a folder that cannot be written is told, and nothing is left", async () => {
  await writeFile(directory, "a file where the folder should be");
  expect(await codeOf(plugin("cdi").plug(handle, { hypervisor: "cdi" }))).toBe("PLUG_FAILED");
  expect(await readFile(directory, "utf8")).toBe("a file where the folder should be");
});
