import * as z from "zod/mini";
import { type InventoryDevice, inventoryDevice } from "#protocol/wire/inventory";
import {
  cardIdentity,
  isPciAddress,
  listIfThere,
  type PciFunction,
  pciDevices,
  pciPath,
  readIfThere,
  readPciFunction,
} from "../host/pci.ts";
import { isKernelError, type SysfsPort } from "../host/sysfs-port.ts";
import type { CardContext, CardFamily, FoundCard } from "./card-family.ts";
import type { Discovery, DiscoveryProblem } from "./driver.ts";
import { factoryImages } from "./pci-ids.ts";
import { onePerGroup } from "./shared-groups.ts";

/**
 * Looks at every PCI function once. Reads no attribute that waits for a device lock, so that a scan
 * works while the kernel is blocked elsewhere (host.md §3.4); a card that cannot be read is a
 * problem of its own and of no other.
 */
export async function scan(
  context: CardContext,
  families: readonly CardFamily[],
): Promise<Discovery> {
  const addresses = (await listIfThere(context.port, pciDevices)).filter(isPciAddress);
  // Beside each other: most of the time is waiting for the thread pool.
  const seen = await Promise.all(addresses.map((address) => lookAt(context, families, address)));
  const devices = seen.flatMap(({ device }) => device ?? []);
  const problems = new Map<string, DiscoveryProblem>();
  for (const { slot, problem } of seen) {
    // Two functions of one broken card are one problem.
    if (slot !== undefined && problem && !problems.has(slot)) problems.set(slot, problem);
  }
  const strays = await straysOf(context, families);
  return { devices: onePerGroup(devices), problems: [...problems.values(), ...strays] };
}

interface Seen {
  readonly slot?: string;
  readonly device?: InventoryDevice;
  readonly problem?: DiscoveryProblem;
}

async function lookAt(
  context: CardContext,
  families: readonly CardFamily[],
  address: string,
): Promise<Seen> {
  const cardId = await cardIdAt(context, address);
  if (cardId === undefined) return {};
  try {
    const found = await look(context, address, cardId);
    const family = found && families.find((one) => one.recognises(found));
    return family ? { device: sendable(await family.describe(context, found)) } : {};
  } catch (error) {
    const slot = cardId.replace(/\.[1-7]$/, "");
    return { slot, problem: { address, reason: reasonOf(error) } };
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The cloud refuses an inventory as a whole: one card that it cannot read would hide all others. */
function sendable(device: InventoryDevice): InventoryDevice {
  const issue = inventoryDevice.safeParse(device).error?.issues[0];
  if (issue === undefined) return device;
  throw new Error(`what the card says makes no sense: ${issue.path.join(".")}`);
}

async function straysOf(
  context: CardContext,
  families: readonly CardFamily[],
): Promise<readonly DiscoveryProblem[]> {
  const found = await Promise.all(
    families.map(async (family) => {
      try {
        return (await family.strays?.(context)) ?? [];
      } catch (error) {
        // What cannot be handed out anyway must not hide what can.
        return [{ address: family.name, reason: reasonOf(error) }];
      }
    }),
  );
  return found.flat();
}

/** The card of a function; undefined for a VF, which is part of its PF's card, and for one gone. */
async function cardIdAt({ port }: CardContext, address: string): Promise<string | undefined> {
  try {
    const target = await port.readlink(`${pciDevices}/${address}`);
    if (await port.exists(`${pciPath(address)}/physfn`)) return undefined;
    return cardIdentity(target);
  } catch (error) {
    if (isKernelError(error)) return undefined;
    throw error;
  }
}

const bridgeClass = "06";

async function look(
  { port, cards, deny, memory }: CardContext,
  address: string,
  cardId: string,
): Promise<FoundCard | undefined> {
  const pci = await readIfPresent(() => readPciFunction(port, address));
  if (!pci || pci.classCode.startsWith(bridgeClass)) return undefined;
  const ids = `${pci.vendor}:${pci.device}`;
  const keys = [address, await subsystemKey(port, pci), ids];
  if (keys.some((key) => deny.includes(key))) return undefined;
  const factory = factoryImages[ids];
  if (factory !== undefined) {
    throw new Error(`an ${factory} with its factory image: a shell must be flashed first`);
  }
  const known = keys.map((key) => cards[key]).find((entry) => entry !== undefined);
  const names = await listIfThere(port, pciPath(address));
  const remembered = remembers.safeParse(memory.recall(cardId)).data?.family;
  return { cardId, pci, names, ...(known && { known }), ...(remembered && { remembered }) };
}

/** Families whose cards hide all evidence while a guest has them write their name down. */
const remembers = z.object({ family: z.string() });

/** Some makers tell their boards apart by the subsystem only (host.md §1.7). */
async function subsystemKey(port: SysfsPort, { address, vendor, device }: PciFunction) {
  const parts = await Promise.all(
    ["subsystem_vendor", "subsystem_device"].map((name) =>
      readIfThere(port, `${pciPath(address)}/${name}`),
    ),
  );
  return [vendor, device, ...parts.map((part) => part?.replace(/^0x/, ""))].join(":");
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
