import { Fault } from "#domain/faults";
import { deployableId, uuidOf } from "#protocol/uuid";
import type { InventoryHandle } from "#protocol/wire/inventory";
import { vfsOf } from "../host/pci.ts";
import { setVfs } from "../host/sriov.ts";
import {
  type CardContext,
  type CardFamily,
  deviceOf,
  type FoundCard,
  handleAt,
  loadedPart,
  pcieHealth,
} from "./card-family.ts";
import type { CardOperation } from "./driver.ts";
import { rebindPf, requireVfs } from "./operating.ts";

const region = "card";

/**
 * Cards with one function that cannot be changed, shared out as VFs. PF XOR VFs (design §2): the PF
 * is the handle only as long as there are no VFs.
 */
export const pci: CardFamily = {
  name: "pci",
  recognises: ({ known }) => known?.family === "pci",
  async describe(context, card) {
    const { handles, layout } = await handlesOf(context, card);
    const deployable = {
      id: deployableId(context.hostId, card.cardId, region),
      region,
      programmable: false,
      scrubMethod: "reset" as const,
      sharing: "any" as const,
      ...loadedPart({ functionId: fixedFunction(card.pci.vendor, card.pci.device) }),
      health: await pcieHealth(context.port, card.pci.address),
      handles,
    };
    return deviceOf(context, card, { driver: "pci", layout, deployables: [deployable] });
  },
  loaded: async (_, { device }) => ({
    functionId: fixedFunction(device.pciVendor, device.pciDevice),
  }),
  health: ({ port }, { device }) => pcieHealth(port, device.address),
  interfaceId: async () => undefined,
  async requireIdle() {
    // Its VFs' holders are all there is, and those are asked for every family.
  },
  async repair() {
    // Nothing can be left half programmed.
  },
  async send() {
    throw new Fault("IMAGE_INCOMPATIBLE", "The card's function is fixed");
  },
  complaint: async () => "",
  async operate(context, { address }, operation) {
    const now = (await vfsOf(context.port, address)).size;
    const count = operation.kind === "rebind" ? now : wantedVfs(operation);
    await requireVfs(context.port, address, count);
    const host = { ...context, deadlineMs: context.writeDeadlineMs };
    if (operation.kind === "rebind") {
      await setVfs(host, address, 0);
      await rebindPf(context, address);
    }
    await setVfs(host, address, count);
  },
};

/** PF XOR VFs (design §2). */
function wantedVfs({ layout, vfs }: CardOperation): number {
  if (layout === "pf") return 0;
  if (layout === "vfs" && vfs !== undefined) return vfs;
  const expected = "pf, or vfs with their number";
  throw new Fault("INVALID_REQUEST", `layout: expected ${expected}`, { field: "layout", expected });
}

/** A function that nobody gave an id: one for all cards with the same PCI ids. */
function fixedFunction(vendor: string, device: string): string {
  return uuidOf("fixed function", vendor, device);
}

async function handlesOf(
  { port }: CardContext,
  { pci }: FoundCard,
): Promise<{ handles: InventoryHandle[]; layout: "pf" | "vfs" }> {
  const vfs = await vfsOf(port, pci.address);
  if (vfs.size === 0) {
    const pf = await handleAt(port, { name: "pf", type: "PF", address: pci.address });
    return { handles: [pf], layout: "pf" };
  }
  const handles: InventoryHandle[] = [];
  for (const [index, address] of vfs) {
    handles.push(await handleAt(port, { name: `vf${index}`, type: "VF", address }));
  }
  return { handles, layout: "vfs" };
}
