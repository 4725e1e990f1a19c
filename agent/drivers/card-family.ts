import { Fault } from "#domain/faults";
import type { InventoryDevice, InventoryHandle } from "#protocol/wire/inventory";
import type { Health, Loaded } from "#protocol/wire/shapes";
import type { Sleep } from "../host/deadline.ts";
import type { FirmwareFolder } from "../host/firmware.ts";
import { groupOf, numaNodeOf, type PciFunction, pciPath, readIfThere } from "../host/pci.ts";
import type { Bitstream, Progress, PrPort } from "../host/pr-port.ts";
import type { SysfsPort } from "../host/sysfs-port.ts";
import type { Tools } from "../host/tools.ts";
import { groupViability } from "../host/vfio-groups.ts";
import type { CardOperation, DiscoveryProblem, Place, VerifiedImage } from "./driver.ts";
import type { CardTable, KnownCard } from "./pci-ids.ts";

/** An image that unloads what was there and clears the memory of its region. */
export interface BlankImage {
  /** What a card that has it answers; told to the outside as "nothing loaded". */
  readonly functionId: string;
  readonly interfaceId: string;
  /** As {@link VerifiedImage.bytes}: the whole file. */
  readonly bytes: Buffer;
  readonly payloadOffset: number;
}

/** The blank images of a host. */
export interface Blanks {
  /** The one for a shell; undefined when this host has none. */
  for(interfaceId: string): BlankImage | undefined;
  /** True for the function of any of them. */
  has(functionId: string): boolean;
}

/**
 * Facts of cards from the time before, for what they cannot be asked: such as what a card is whose
 * only function is in a guest. A driver must do no harm when they are lost or stale.
 */
export interface CardMemory {
  recall(cardId: string): unknown;
  /** True when the next agent will find it. */
  remember(cardId: string, facts: object): boolean;
}

/** What every family of cards works with. */
export interface CardContext {
  readonly hostId: string;
  readonly port: SysfsPort;
  readonly pr: PrPort;
  /** Vendors' programs. */
  readonly tools: Tools;
  /** Where the kernel takes images from that it loads by name. */
  readonly firmware: FirmwareFolder;
  readonly sleep: Sleep;
  /** Bounds each write that may block in the kernel, ms. */
  readonly writeDeadlineMs: number;
  readonly blanks: Blanks;
  /** What was last read of cards that cannot be read while a guest has them. */
  readonly memory: CardMemory;
  /** What is known of cards by their ids, the operator's own entries included. */
  readonly cards: CardTable;
  /** Addresses and ids, as keys of `cards`, of what is never looked at. */
  readonly deny: readonly string[];
}

/** A card that was found, before it is looked into. */
export interface FoundCard {
  readonly cardId: string;
  readonly pci: PciFunction;
  /** Names in its folder: what drivers put there tells a family, whatever the ids (host.md §1.7). */
  readonly names: readonly string[];
  readonly known?: KnownCard;
  /** The driver that had it when it was last read; all that is left while a guest has its PF. */
  readonly remembered?: string;
}

/** How cards of one kind are read and programmed. Kernel errors may come out of every method. */
export interface CardFamily {
  /** The driver's name in inventories. */
  readonly name: string;
  /** What kinds of image its cards take; any whose interface id fits when left out. */
  readonly formats?: readonly VerifiedImage["format"][];
  /** True for this family's cards; of several families the first in the list gets a card. */
  recognises(card: FoundCard): boolean;
  describe(context: CardContext, card: FoundCard): Promise<InventoryDevice>;
  /** What is loaded; undefined while the card cannot be asked. */
  loaded(context: CardContext, place: Place): Promise<Loaded | undefined>;
  health(context: CardContext, place: Place): Promise<Health>;
  /** The shell that images must be made for, as the card says now. */
  interfaceId(context: CardContext, place: Place): Promise<string | undefined>;
  /** IN_USE when a process on the host uses what is to be programmed. */
  requireIdle(context: CardContext, place: Place): Promise<void>;
  /** Brings a card that failed before into order. CARD_DEGRADED when that would hurt others. */
  repair(context: CardContext, place: Place): Promise<void>;
  send(context: CardContext, place: Place, image: Bitstream, progress: Progress): Promise<void>;
  /** Unloads and clears the memory without a blank image, where the hardware can. */
  readonly erase?: (context: CardContext, place: Place) => Promise<void>;
  /** What this family would drive if it were a PCI card, with the reason why it is not offered. */
  readonly strays?: (context: CardContext) => Promise<readonly DiscoveryProblem[]>;
  /** As `Driver.operate`, on a card that is proven unused; absent where cards are what they are. */
  operate?(context: CardContext, device: InventoryDevice, operation: CardOperation): Promise<void>;
  /** What the card says about a program that ended with EIO. */
  complaint(context: CardContext, place: Place): Promise<string>;
}

/** Nothing loaded, or what the id says. */
export function loadedOf(context: CardContext, functionId: string | undefined): Loaded {
  if (functionId === undefined || context.blanks.has(functionId)) return { functionId: null };
  return { functionId };
}

/** Asks the management side where it can tell; undefined elsewhere. */
export async function identified(
  context: CardContext,
  cardId: string,
  region: string,
): Promise<Loaded | undefined> {
  const functionId = await context.pr.identify?.(cardId, region);
  return functionId === undefined ? undefined : loadedOf(context, functionId);
}

/** PCIe errors count for every card; without the counter nobody watches it. */
export async function pcieHealth(port: SysfsPort, address: string): Promise<Health> {
  const counters = await readIfThere(port, `${pciPath(address)}/aer_dev_fatal`);
  if (counters === undefined) return { state: "unmonitored" };
  const total = /^TOTAL_ERR_FATAL (\d+)$/m.exec(counters)?.[1] ?? "0";
  if (Number(total) === 0) return { state: "ok" };
  return { state: "degraded", reason: `${total} fatal PCIe errors` };
}

/** A handle, with the reason why it cannot go to a guest (host.md §3.3). */
export async function handleAt(
  port: SysfsPort,
  handle: Pick<InventoryHandle, "name" | "type" | "address">,
): Promise<InventoryHandle> {
  const { name, type, address } = handle;
  const iommuGroup = await groupOf(port, address);
  if (iommuGroup === undefined) {
    return { name, type, address, attachable: false, reason: "NO_IOMMU" };
  }
  const { viable } = await groupViability(port, address);
  const base = { name, type, address, iommuGroup, attachable: viable };
  return viable ? base : { ...base, reason: "GROUP_NOT_VIABLE" };
}

/** The parts of a device that do not depend on the family. */
export async function deviceOf(
  { port }: CardContext,
  { cardId, pci, known }: FoundCard,
  shape: Pick<InventoryDevice, "driver" | "layout" | "deployables">,
): Promise<InventoryDevice> {
  const numaNode = await numaNodeOf(port, pci.address);
  return {
    cardId,
    kind: known?.kind ?? "FPGA",
    vendor: known?.vendor ?? pci.vendor,
    product: known?.product ?? `${pci.vendor}-${pci.device}`,
    pciVendor: pci.vendor,
    pciDevice: pci.device,
    address: pci.address,
    ...(numaNode !== undefined && { numaNode }),
    ...shape,
  };
}

/** `loaded` and, when the card cannot be asked, that it cannot. */
export function loadedPart(loaded: Loaded | undefined): {
  readonly loaded: Loaded;
  readonly opaque?: true;
} {
  return loaded ? { loaded } : { loaded: { functionId: null }, opaque: true };
}

/** CARD_DEGRADED with a reason. */
export function degraded(place: Place, reason: string): Fault {
  return new Fault("CARD_DEGRADED", reason, {
    card: place.device.cardId,
    region: place.deployable.region,
  });
}
