import { isFault } from "#domain/faults";
import { realSleep, type Sleep } from "../host/deadline.ts";
import { type FirmwareFolder, noFirmware } from "../host/firmware.ts";
import type { PrPort } from "../host/pr-port.ts";
import type { SysfsPort } from "../host/sysfs-port.ts";
import { noTools, type Tools } from "../host/tools.ts";
import type { BlankImage, Blanks, CardContext, CardFamily, CardMemory } from "./card-family.ts";
import type { Driver, Observation, Place } from "./driver.ts";
import { families } from "./index.ts";
import { operate } from "./operating.ts";
import { type CardTable, knownCards } from "./pci-ids.ts";
import { program, repair, requireSameCard, type Target } from "./programming.ts";
import { scan } from "./scan.ts";
import { cleanHandle, scrub } from "./scrubbing.ts";

/** What drivers are given: the kernel, who the host is, and what its operator added. */
export interface DriverHost {
  readonly hostId: string;
  readonly port: SysfsPort;
  readonly pr: PrPort;
  /** Vendors' programs; none by default. */
  readonly tools?: Tools;
  /** For FPGA managers; none by default. */
  readonly firmware?: FirmwareFolder;
  readonly sleep?: Sleep;
  /** Bounds each write that may block in the kernel; 120 s by default (host.md §3.1). */
  readonly writeDeadlineMs?: number;
  /** Images that erase; none by default. */
  readonly blanks?: Blanks;
  /** Kept over restarts of the agent; for this process only by default. */
  readonly memory?: CardMemory;
  /** The operator's entries, before ours. */
  readonly cards?: CardTable;
  /** PCI addresses, `vendor:device` or with subsystem, of what the operator keeps. */
  readonly deny?: readonly string[];
}

/** All cards of a host, each handled by its family, as one driver. */
export function cardsDriver(host: DriverHost): Driver {
  const context = contextOf(host);
  const at = (place: Place): Target => ({ context, place, family: familyOf(place) });
  return {
    name: "cards",
    discover: () => scan(context, families),
    observe: (place) => observe(at(place)),
    program: (place, image, work) => program(at(place), image, work),
    repair: (place) => repair(at(place)),
    scrub: (place, method, work) => scrub(at(place), method, work),
    cleanHandle: (place, handle) => cleanHandle(at(place), handle),
    operate: (device, operation) => operate(context, familyOf({ device }), device, operation),
  };
}

/** The blank images of a list, by the shell each is for. */
export function blanksOf(images: readonly BlankImage[]): Blanks {
  const byShell = new Map(images.map((image) => [image.interfaceId, image]));
  const ids = new Set(images.map(({ functionId }) => functionId));
  return { for: (interfaceId) => byShell.get(interfaceId), has: (id) => ids.has(id) };
}

function passingMemory(): CardMemory {
  const facts = new Map<string, object>();
  return { recall: (id) => facts.get(id), remember: (id, what) => facts.set(id, what).has(id) };
}

function contextOf(host: DriverHost): CardContext {
  return {
    hostId: host.hostId,
    port: host.port,
    pr: host.pr,
    tools: host.tools ?? noTools,
    firmware: host.firmware ?? noFirmware,
    sleep: host.sleep ?? realSleep,
    writeDeadlineMs: host.writeDeadlineMs ?? 120_000,
    blanks: host.blanks ?? blanksOf([]),
    memory: host.memory ?? passingMemory(),
    cards: { ...knownCards, ...host.cards },
    deny: host.deny ?? [],
  };
}

function familyOf({ device }: Pick<Place, "device">): CardFamily {
  const found = families.find(({ name }) => name === device.driver);
  if (!found) throw new Error(`no driver ${device.driver}`);
  return found;
}

async function observe(target: Target): Promise<Observation> {
  const { context, family, place } = target;
  await requireSameCard(target);
  try {
    const loaded = await family.loaded(context, place);
    const health = await family.health(context, place);
    if (loaded) return { loaded, health };
    return { loaded: place.deployable.loaded, health, opaque: true };
  } catch (error) {
    // It may have left while it was read; then that is the answer.
    await requireSameCard(target);
    if (isFault(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    return { loaded: { functionId: null }, health: { state: "degraded", reason } };
  }
}
