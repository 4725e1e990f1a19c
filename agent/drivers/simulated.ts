import { isFault } from "#domain/faults";
import { realSleep, type Sleep } from "../host/deadline.ts";
import { blankFunction } from "../host/memory-kernel/cards.ts";
import type { PrPort } from "../host/pr-port.ts";
import type { SysfsPort } from "../host/sysfs-port.ts";
import { alveoFamily } from "./alveo-card.ts";
import type { CardContext, CardFamily } from "./card-family.ts";
import { dflFamily } from "./dfl-card.ts";
import type { Driver, Observation, Place } from "./driver.ts";
import { knownCards } from "./pci-ids.ts";
import { program, requireSameCard, type Target } from "./programming.ts";
import { type Families, scan } from "./scan.ts";
import { cleanHandle, scrub } from "./scrubbing.ts";
import { sriovFamily } from "./sriov-card.ts";

/** What a driver is given: the kernel, and who the host is. */
export interface DriverHost {
  readonly hostId: string;
  readonly port: SysfsPort;
  readonly pr: PrPort;
  readonly sleep?: Sleep;
  /** Bounds each write that may block in the kernel; 120 s by default (host.md §3.1). */
  readonly writeDeadlineMs?: number;
}

const families: Families = { dfl: dflFamily, alveo: alveoFamily, sriov: sriovFamily };

/**
 * The cards of a kernel in memory, read and programmed as real ones are: through sysfs, with the
 * ioctl and xbmgmt as a port. Only the bitstreams are not decoded.
 */
export function simulatedDriver(host: DriverHost): Driver {
  const context: CardContext = {
    name: "simulated",
    hostId: host.hostId,
    port: host.port,
    pr: host.pr,
    sleep: host.sleep ?? realSleep,
    writeDeadlineMs: host.writeDeadlineMs ?? 120_000,
    blankFunction,
  };
  const at = (place: Place): Target => ({ context, place, family: familyOf(place) });
  return {
    name: context.name,
    discover: () => scan(context, families),
    observe: (place) => observe(at(place)),
    program: (place, image, work) => program(at(place), image, work),
    scrub: (place, method, work) => scrub(at(place), method, work),
    cleanHandle: (place, handle) => cleanHandle(at(place), handle),
  };
}

/** A card that no table knows was recognised by its layout's owner: ports mean DFL. */
function familyOf({ device }: Place): CardFamily {
  const known = knownCards[`${device.pciVendor}:${device.pciDevice}`];
  return families[known?.family ?? (device.layout === "regions" ? "dfl" : "alveo")];
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
