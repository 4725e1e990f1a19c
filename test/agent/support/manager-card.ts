import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Sleep } from "../../../agent/host/deadline.ts";
import type { FirmwareFolder } from "../../../agent/host/firmware.ts";
import { firmwareFolder } from "../../../agent/host/firmware.ts";
import { sriovCard } from "../../../agent/host/memory-kernel/cards.ts";
import type { MemoryKernel } from "../../../agent/host/memory-kernel/kernel.ts";
import { kernelError, type SysfsPort } from "../../../agent/host/sysfs-port.ts";
import { bench, devices, firstPf } from "../kernels.ts";
import { type Extra, overlaid, shows, whileDriven } from "./overlay.ts";

export interface ManagerCard {
  readonly kernel: MemoryKernel;
  readonly port: SysfsPort;
  readonly sleep: Sleep;
  readonly firmware: FirmwareFolder;
  /** The real folder that the kernel takes images from. */
  readonly folder: string;
  readonly manager: { state: string; status: string; flags: string };
  /** What went into the chip, in order. */
  readonly written: string[];
  /** More files of the host. */
  readonly host: Record<string, Extra>;
  /** The next write of a firmware name ends so. */
  failNext(errno: string, state: string, status?: string): void;
  readonly close: () => Promise<void>;
}

/** A card that Intel's altera-cvp drives, on a vendor's kernel unless told otherwise. */
export async function managerCard({ vendorKernel = true } = {}): Promise<ManagerCard> {
  const seat = sriovCard(0, { vendor: "1172", device: "e003", totalVfs: 0, bootVfs: 0 });
  const { kernel, sleep } = bench([seat], { opaque: true });
  const folder = await mkdtemp(join(tmpdir(), "gatehouse-firmware-"));
  const manager = { state: "unknown", status: "", flags: "" };
  const written: string[] = [];
  const host: Record<string, Extra> = {};
  let planned: { errno: string; state: string; status: string } | undefined;
  const load = async (name: string) => {
    if (name.includes("/")) throw kernelError("EINVAL", name);
    const bytes = await readFile(join(folder, name));
    const failure = planned;
    planned = undefined;
    Object.assign(manager, { state: failure?.state ?? "operating", status: failure?.status ?? "" });
    if (failure !== undefined && failure.errno !== "") throw kernelError(failure.errno, name);
    written.push(`${manager.flags}:${bytes.toString()}`);
  };
  const pf = `${devices}/${firstPf}`;
  const base = `${pf}/fpga_manager/fpga3`;
  const vendors = {
    [`${base}/firmware`]: { write: load },
    [`${base}/flags`]: {
      write: (value: string) => {
        manager.flags = value;
      },
    },
  };
  const port = overlaid(kernel, async () => ({
    ...host,
    ...(await whileDriven(kernel, pf, () => ({
      [`${base}/name`]: shows(() => "Altera CvP FPGA Manager"),
      [`${base}/state`]: shows(() => manager.state),
      [`${base}/status`]: shows(() => manager.status),
      ...(vendorKernel && vendors),
    }))),
  }));
  return {
    kernel,
    port,
    sleep,
    firmware: firmwareFolder(folder),
    folder,
    manager,
    written,
    host,
    failNext(errno, state, status = "") {
      planned = { errno, state, status };
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
