import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "#domain/faults";
import type { ImageReference } from "#protocol/wire/shapes";
import { readBlankImages } from "./blank-images.ts";
import { cardMemory } from "./card-memory.ts";
import type { Settings } from "./config.ts";
import { blanksOf, cardsDriver } from "./drivers/cards.ts";
import type { Driver } from "./drivers/driver.ts";
import { simulatedDriver } from "./drivers/simulated.ts";
import { replaceFile } from "./host/files.ts";
import { firmwareFolder } from "./host/firmware.ts";
import { deviceEvents, udevadmPath } from "./host/linux/device-events.ts";
import { linuxReads } from "./host/linux/sysfs.ts";
import { stockCards } from "./host/memory-kernel/cards.ts";
import { memoryKernel } from "./host/memory-kernel/kernel.ts";
import type { KernelState } from "./host/memory-kernel/state.ts";
import { isKernelError, type SysfsPort } from "./host/sysfs-port.ts";
import { linuxMachine, listedCards } from "./linux-machine.ts";
import type { AgentOptions } from "./options.ts";
import { helperClient } from "./privileged/client.ts";
import type { Log } from "./runtime.ts";

/** The cards an agent serves and the kernel they are reached through. */
export interface Hardware {
  readonly driver: Driver;
  readonly kernel: SysfsPort;
  readonly deviceEvents?: NonNullable<AgentOptions["deviceEvents"]>;
  /** Ends the connection to the privileged process, which would keep this one alive. */
  readonly close?: () => void;
  /** Told of images that were verified, where another process loads them and judges them again. */
  readonly vouch?: (bytes: Buffer, image: ImageReference) => void;
}

/** This machine's kernel and cards, by the privileged process where there is one. */
async function linuxHardware(settings: Settings, hostId: string, log: Log): Promise<Hardware> {
  const { stateDir, blankImages, deny, helper, firmwareFolder: firmware } = settings;
  const client =
    helper === undefined ? undefined : helperClient({ path: helper, plain: linuxReads("") });
  const { port, pr, tools } = client ?? linuxMachine(settings, join(stateDir, "tools"));
  const driver = cardsDriver({
    hostId,
    port,
    pr,
    tools,
    memory: cardMemory(stateDir, log),
    blanks: blanksOf(await readBlankImages(blankImages)),
    cards: listedCards(settings),
    deny,
    // A process without privilege writes no firmware.
    ...(client ? {} : { firmware: firmwareFolder(firmware) }),
  });
  return {
    kernel: port,
    driver,
    deviceEvents: (changed, signal) => deviceEvents({ path: udevadmPath, changed, signal }),
    ...(client && { vouch: client.vouch, close: () => client.close() }),
  };
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
