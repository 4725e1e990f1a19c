import type { InventoryDevice } from "#protocol/wire/inventory";
import {
  listIfThere,
  type PciFunction,
  pciDevices,
  pciPath,
  readPciFunction,
  slotPath,
} from "../host/pci.ts";
import { isKernelError } from "../host/sysfs-port.ts";
import type { CardContext, CardFamily, FoundCard } from "./card-family.ts";
import type { Discovery, DiscoveryProblem } from "./driver.ts";
import { type CardFamilyName, knownCards } from "./pci-ids.ts";

/** How each family's cards are handled. */
export type Families = Readonly<Record<CardFamilyName, CardFamily>>;

/**
 * Looks at every PCI function once. Reads no attribute that waits for a device lock, so that a scan
 * works while the kernel is blocked elsewhere (host.md §3.4); a card that cannot be read is a
 * problem of its own and of no other.
 */
export async function scan(context: CardContext, families: Families): Promise<Discovery> {
  const devices: InventoryDevice[] = [];
  const problems = new Map<string, DiscoveryProblem>();
  for (const address of await listIfThere(context.port, pciDevices)) {
    const cardId = await cardIdAt(context, address);
    if (cardId === undefined) continue;
    try {
      const found = await recognise(context, address, cardId);
      if (found) devices.push(await families[found.known.family].describe(context, found));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // Two functions of one broken card are one problem.
      if (!problems.has(cardId)) problems.set(cardId, { address, reason });
    }
  }
  return { devices, problems: [...problems.values()] };
}

/** The slot of a function; undefined for a VF, which is part of its PF's card, and for one gone. */
async function cardIdAt({ port }: CardContext, address: string): Promise<string | undefined> {
  try {
    const target = await port.readlink(`${pciDevices}/${address}`);
    if (await port.exists(`${pciPath(address)}/physfn`)) return undefined;
    return slotPath(target);
  } catch (error) {
    if (isKernelError(error)) return undefined;
    throw error;
  }
}

const bridgeClass = "06";

async function recognise(
  { port }: CardContext,
  address: string,
  cardId: string,
): Promise<FoundCard | undefined> {
  const pci = await readIfPresent(() => readPciFunction(port, address));
  if (!pci || pci.classCode.startsWith(bridgeClass)) return undefined;
  const known = knownCards[`${pci.vendor}:${pci.device}`];
  const family = known?.family ?? (await evidence(() => listIfThere(port, pciPath(address))));
  if (family === undefined) return undefined;
  const stranger = { vendor: pci.vendor, product: `${pci.vendor}-${pci.device}`, family };
  return { cardId, pci, known: known ?? stranger };
}

/** What drivers put into a function's folder tells its family, whatever its ids (host.md §1.7). */
async function evidence(
  list: () => Promise<readonly string[]>,
): Promise<CardFamilyName | undefined> {
  const names = await list();
  if (names.includes("mgmt_pf")) return "alveo";
  return names.includes("fpga_region") ? "dfl" : undefined;
}

/** A function that left the bus while it was read was never there. */
async function readIfPresent(read: () => Promise<PciFunction>): Promise<PciFunction | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isKernelError(error, "ENOENT", "ENODEV")) return undefined;
    throw error;
  }
}
