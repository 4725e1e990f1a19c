import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { Fault } from "#domain/faults";
import { readBlankImages } from "./blank-images.ts";
import { cardMemory } from "./card-memory.ts";
import type { Settings } from "./config.ts";
import { blanksOf, cardsDriver } from "./drivers/cards.ts";
import type { Driver } from "./drivers/driver.ts";
import type { CardTable } from "./drivers/pci-ids.ts";
import { simulatedDriver } from "./drivers/simulated.ts";
import { realSleep } from "./host/deadline.ts";
import { replaceFile } from "./host/files.ts";
import { linuxCardPort } from "./host/linux/card-port.ts";
import { kernelChildren } from "./host/linux/children.ts";
import { linuxSysfs } from "./host/linux/sysfs.ts";
import { stockCards } from "./host/memory-kernel/cards.ts";
import { memoryKernel } from "./host/memory-kernel/kernel.ts";
import type { KernelState } from "./host/memory-kernel/state.ts";
import { isKernelError, type SysfsPort } from "./host/sysfs-port.ts";
import type { Log } from "./runtime.ts";

/** The cards an agent serves and the kernel they are reached through. */
export interface Hardware {
  readonly driver: Driver;
  readonly kernel: SysfsPort;
}

/** This machine's kernel and cards. */
async function linuxHardware(settings: Settings, hostId: string, log: Log): Promise<Hardware> {
  const { stateDir, blankImages, deny } = settings;
  const children = kernelChildren({ script: siblingScript("kernel-child"), sleep: realSleep });
  const kernel = linuxSysfs({ root: "", children });
  const pr = linuxCardPort({ port: kernel, children });
  const driver = cardsDriver({
    hostId,
    port: kernel,
    pr,
    memory: cardMemory(stateDir, log),
    blanks: blanksOf(await readBlankImages(blankImages)),
    cards: listedCards(settings),
    deny,
  });
  return { kernel, driver };
}

/** The operator's list in the form drivers look cards up in. */
function listedCards({ cards }: Settings): CardTable {
  const entries = cards.map(({ match, driver, ...rest }) => {
    return [match, { ...rest, family: driver, listed: true }] as const;
  });
  return Object.fromEntries(entries);
}

/** A program beside this one: a source beside a source, a bundle beside a bundle. */
function siblingScript(name: string): string {
  const self = process.argv[1] ?? "";
  return join(dirname(self), `${name}${extname(self)}`);
}

/** Where a simulated kernel lives between two runs of the agent. */
const snapshotFile = "simulated-kernel.json";

/**
 * Opens the hardware the settings name. A simulated kernel outlives its agent, as a real one does.
 * Throws INVALID_REQUEST when the simulated one cannot be read back.
 */
export async function openHardware(
  settings: Settings,
  hostId: string,
  log: Log,
): Promise<Hardware> {
  if (settings.simulated === undefined) return await linuxHardware(settings, hostId, log);
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
