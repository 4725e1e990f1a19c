import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "#domain/faults";
import type { Settings } from "./config.ts";
import type { Driver } from "./drivers/driver.ts";
import { simulatedDriver } from "./drivers/simulated.ts";
import { replaceFile } from "./host/files.ts";
import { stockCards } from "./host/memory-kernel/cards.ts";
import { memoryKernel } from "./host/memory-kernel/kernel.ts";
import type { KernelState } from "./host/memory-kernel/state.ts";
import { isKernelError, type SysfsPort } from "./host/sysfs-port.ts";

/** The cards an agent serves and the kernel they are reached through. */
export interface Hardware {
  readonly driver: Driver;
  readonly kernel: SysfsPort;
}

/** Where a simulated kernel lives between two runs of the agent. */
const snapshotFile = "simulated-kernel.json";

/**
 * Opens the hardware the settings name. A simulated kernel outlives its agent, as a real one does.
 * Throws WRONG_STATE when the settings name none that this agent can drive.
 */
export async function openHardware(settings: Settings, hostId: string): Promise<Hardware> {
  if (settings.simulated === undefined) {
    throw new Fault("WRONG_STATE", "no driver for this machine's cards; set `simulated`", {
      field: "simulated",
    });
  }
  const path = join(settings.stateDir, snapshotFile);
  const snapshot = await readSnapshot(path);
  const kernel = memoryKernel({
    cards: stockCards(settings.simulated),
    bootId: randomUUID(),
    speed: settings.simulated.speed,
    persist: (state) => replaceFile(path, JSON.stringify(state)),
    ...(snapshot === undefined ? {} : { snapshot }),
  });
  return { kernel, driver: simulatedDriver({ hostId, port: kernel, pr: kernel }) };
}

async function readSnapshot(path: string): Promise<KernelState | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as KernelState;
  } catch (error) {
    if (isKernelError(error, "ENOENT")) return undefined;
    throw new Fault("INVALID_REQUEST", `${path} cannot be read`, {}, { cause: error });
  }
}
