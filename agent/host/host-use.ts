import { listIfThere, pciPath, readIfThere } from "./pci.ts";
import { isKernelError, type SysfsPort } from "./sysfs-port.ts";

const blockDevices = "/sys/class/block";
const interfaceUp = 0x1;

/** One look for one kind of use; says in a few words what it found. */
type Look = (port: SysfsPort, address: string) => Promise<string | undefined>;

/**
 * What the host itself does with a function: file systems and swap on it, a network interface that
 * is up, a screen or a process on its display nodes, an accelerator that is up. Undefined when
 * nothing does; a function on a pass-through driver shows none of these. What cannot be found out
 * counts as use: giving away a disk that is mounted destroys it.
 */
export async function hostUse(port: SysfsPort, address: string): Promise<string | undefined> {
  for (const look of [blockUse, networkUse, displayUse, acceleratorUse]) {
    const use = await look(port, address);
    if (use !== undefined) return use;
  }
  return undefined;
}

const blockUse: Look = async (port, address) => {
  const names = await blocksOf(port, address);
  if (names.length === 0) return undefined;
  const mounts = await readIfThere(port, "/proc/self/mountinfo");
  const swaps = await readIfThere(port, "/proc/swaps");
  if (mounts === undefined || swaps === undefined) return "its mounts cannot be read";
  for (const name of names) {
    const [holder] = await listIfThere(port, `${blockDevices}/${name}/holders`);
    if (holder !== undefined) return `${holder} is on ${name}`;
    if (isListed(swaps, name)) return `${name} is swap`;
    const number = await readIfThere(port, `${blockDevices}/${name}/dev`);
    const where = mountOf(mounts, name, number);
    if (where !== undefined) return `${name} is mounted at ${where}`;
  }
  return undefined;
};

/** Disks and partitions below a function, whatever driver made them. */
async function blocksOf(port: SysfsPort, address: string): Promise<readonly string[]> {
  const heads = await headsOf(port, address);
  const found: string[] = [];
  for (const name of await listIfThere(port, blockDevices)) {
    const target = await targetOf(port, `${blockDevices}/${name}`);
    const parts = target.split("/");
    if (parts.includes(address) || heads.some((head) => parts.includes(head))) found.push(name);
  }
  return found;
}

/**
 * With multipath a namespace is below a subsystem of its own, and the function shows only a path to
 * it: `nvme0c1n2` leads to `nvme0n2`.
 */
async function headsOf(port: SysfsPort, address: string): Promise<readonly string[]> {
  const folder = `${pciPath(address)}/nvme`;
  const heads: string[] = [];
  for (const controller of await listIfThere(port, folder)) {
    for (const name of await listIfThere(port, `${folder}/${controller}`)) {
      const [, subsystem, namespace] = /^(nvme\d+)c\d+(n\d+)$/.exec(name) ?? [];
      if (subsystem !== undefined) heads.push(`${subsystem}${namespace}`);
    }
  }
  return heads;
}

async function targetOf(port: SysfsPort, path: string): Promise<string> {
  try {
    return await port.readlink(path);
  } catch (error) {
    if (isKernelError(error, "ENOENT", "EINVAL")) return "";
    throw error;
  }
}

/** `/proc/swaps`: the first word of a line is the device. */
function isListed(swaps: string, name: string): boolean {
  return swaps.split("\n").some((line) => line.split(/\s+/)[0] === `/dev/${name}`);
}

/** Some file systems mount under numbers of their own, so the source's name counts as well. */
function mountOf(mounts: string, name: string, number: string | undefined): string | undefined {
  for (const line of mounts.split("\n")) {
    const [fields = "", origin = ""] = line.split(" - ");
    const [, , device, , where] = fields.split(" ");
    const isIt = device === number || origin.split(" ")[1] === `/dev/${name}`;
    if (isIt && where !== undefined) return where;
  }
  return undefined;
}

const networkUse: Look = async (port, address) => {
  const folder = `${pciPath(address)}/net`;
  for (const name of await listIfThere(port, folder)) {
    const flags = Number(await readIfThere(port, `${folder}/${name}/flags`));
    if (Number.isNaN(flags) || (flags & interfaceUp) !== 0) return `${name} is up`;
  }
  return undefined;
};

const displayUse: Look = async (port, address) => {
  const path = pciPath(address);
  if ((await readIfThere(port, `${path}/boot_vga`)) === "1") return "it is the host's screen";
  for (const name of await listIfThere(port, `${path}/drm`)) {
    if (!/^(card|renderD)\d+$/.test(name)) continue;
    const [holder] = await port.holders(`/dev/dri/${name}`);
    if (holder) return `${holder.command} has ${name} open`;
  }
  return undefined;
};

/** QAT that is up serves the host's own cryptography; its VFs are functions without this file. */
const acceleratorUse: Look = async (port, address) => {
  const state = await readIfThere(port, `${pciPath(address)}/qat/state`);
  return state === "up" ? "its accelerator is up" : undefined;
};
