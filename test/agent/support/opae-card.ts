import { lstat, readFile, realpath } from "node:fs/promises";
import { readImageHeader } from "#protocol/images/header";
import { sriovCard } from "../../../agent/host/memory-kernel/cards.ts";
import type { MemoryKernel } from "../../../agent/host/memory-kernel/kernel.ts";
import { kernelError, type SysfsPort } from "../../../agent/host/sysfs-port.ts";
import { bench, devices, firstPf } from "../kernels.ts";
import type { ToolEnd, ToolStart } from "./fake-tools.ts";
import { overlaid, shows, whileDriven } from "./overlay.ts";

export const opaeShell = "ce489693-98f0-5f33-946d-560708be108a";
const flashFunction = "cccccccc-cccc-4ccc-8ccc-cccccccccccc";

export interface OpaeCard {
  readonly kernel: MemoryKernel;
  readonly port: SysfsPort;
  /** What the ports have loaded. */
  readonly loaded: string[];
  /** Ports that answer EBUSY. */
  readonly stuck: Set<number>;
  /** The next program ends with this exit code. */
  failNext(code: number): void;
  /** What the program fpgaconf does. */
  readonly fpgaconf: (start: ToolStart) => Promise<ToolEnd>;
}

/** A PAC of the old out-of-tree driver (host.md §1.4), with one port unless told otherwise. */
export function opaeCard({ ports = 1, vfs = 0 } = {}): OpaeCard {
  const card = sriovCard(0, {
    vendor: "8086",
    device: "09c4",
    vfDevice: "09c5",
    totalVfs: ports,
    bootVfs: vfs,
  });
  const { kernel } = bench([card], { opaque: true });
  const loaded = Array.from({ length: ports }, () => flashFunction);
  const stuck = new Set<number>();
  const pf = `${devices}/${firstPf}`;
  const base = `${pf}/fpga/intel-fpga-dev.4`;
  // Ports with a VF have left the PF, the first ones first.
  const shown = loaded.map((_, id) => id).filter((id) => id >= vfs);
  const portFiles = (id: number) => ({
    [`${base}/intel-fpga-port.${7 + id}/id`]: shows(() => String(id)),
    [`${base}/intel-fpga-port.${7 + id}/afu_id`]: shows(() => {
      if (stuck.has(id)) throw kernelError("EBUSY", "afu_id");
      return (loaded[id] ?? "").replaceAll("-", "");
    }),
  });
  const port = overlaid(kernel, () =>
    whileDriven(kernel, pf, () => ({
      [`${base}/intel-fpga-fme.3/pr/interface_id`]: shows(() => opaeShell.replaceAll("-", "")),
      [`${base}/intel-fpga-fme.3/ports_num`]: shows(() => String(ports)),
      ...Object.assign({}, ...shown.map(portFiles)),
    })),
  );
  let planned = 0;
  return {
    kernel,
    port,
    loaded,
    stuck,
    failNext(code) {
      planned = code;
    },
    async fpgaconf({ args }) {
      const file = args.at(-1) ?? "";
      if (!(await isPlainFile(file))) return { code: 1, stderr: "invalid path" };
      const functionId = await gbsFunction(file, opaeShell);
      if (typeof functionId === "number") return { code: functionId, stderr: "no" };
      if (addressIn(args) !== firstPf) return { code: 4, stderr: "No suitable slots found." };
      const code = planned;
      planned = 0;
      if (code !== 0) return { code, stderr: "programming failed" };
      loaded[0] = functionId;
      return {};
    },
  };
}

function addressIn(args: readonly string[]): string {
  const after = (flag: string) => (args[args.indexOf(flag) + 1] ?? "").replace(/^0x/, "");
  return `${after("-S")}:${after("-B")}:${after("-D")}.${after("-F")}`;
}

/** No symbolic link anywhere in it, and none that the tool would refuse (host.md §2.3). */
async function isPlainFile(path: string): Promise<boolean> {
  const odd = path.includes("..") || /[^\x20-\x7e]|%[0-9A-Fa-f]{2}/.test(path);
  const stats = await lstat(path).catch(() => undefined);
  return !odd && stats?.isFile() === true && (await realpath(path)) === path;
}

/** The function of a GBS for the shell, or the exit code. */
async function gbsFunction(path: string, shell: string): Promise<string | number> {
  try {
    const bytes = await readFile(path);
    const header = readImageHeader(bytes, bytes.length);
    if (header.format !== "gbs") return 2;
    return header.interfaceId === shell ? header.functionId : 4;
  } catch {
    return 2;
  }
}
