import { Fault } from "#domain/faults";
import { deployableId, uuidOf } from "#protocol/uuid";
import type { InventoryHandle } from "#protocol/wire/inventory";
import { hostUse } from "../host/host-use.ts";
import { vfsOf } from "../host/pci.ts";
import { setVfs } from "../host/sriov.ts";
import type { SysfsPort } from "../host/sysfs-port.ts";
import { isRefusedClass } from "../host/vfio.ts";
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
import { scrubPart } from "./scrub-method.ts";

const region = "card";

/**
 * Cards with one function that cannot be changed: FPGAs with fixed logic, and the GPUs, NICs, QAT
 * cards and SSDs that the operator lists. PF XOR VFs (design §2): the PF is the handle only as long
 * as there are no VFs.
 */
export const pci: CardFamily = {
  name: "pci",
  recognises: ({ known }) => known?.family === "pci",
  async describe(context, card) {
    if (isRefusedClass(card.pci.classCode) && card.known?.listed !== true) {
      throw new Error("its class is handed out only when the operator lists the card");
    }
    const { handles, layout } = await handlesOf(context, card);
    const deployable = {
      id: deployableId(context.hostId, card.cardId, region),
      region,
      programmable: false,
      sharing: "any" as const,
      ...loadedPart({ functionId: fixedFunction(card.pci.vendor, card.pci.device) }),
      health: await pcieHealth(context.port, card.pci.address),
      ...(await scrubPart(context, { handles })),
    };
    return deviceOf(context, card, { driver: "pci", layout, deployables: [deployable] });
  },
  loaded: async (_, { device }) => ({
    functionId: fixedFunction(device.pciVendor, device.pciDevice),
  }),
  health: ({ port }, { device }) => pcieHealth(port, device.address),
  interfaceId: async () => undefined,
  async requireIdle({ port }, { deployable }) {
    for (const { address } of deployable.handles) await requireNoUse(port, address);
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
    const host = { ...context, deadlineMs: context.writeDeadlineMs, unprobed: true };
    if (operation.kind === "rebind") {
      // With VFs the PF is no handle, and may well work for the host.
      await requireNoUse(context.port, address);
      await setVfs(host, address, 0);
      await rebindPf(context, address);
    }
    await setVfs(host, address, count);
  },
};

async function requireNoUse(port: SysfsPort, address: string): Promise<void> {
  const use = await hostUse(port, address);
  if (use !== undefined) throw new Fault("IN_USE", `The host uses ${address}: ${use}`, { address });
}

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
  { pci, known }: FoundCard,
): Promise<{ handles: InventoryHandle[]; layout: "pf" | "vfs" }> {
  const at = async (handle: Parameters<typeof handleAt>[1]) => {
    const found = await handleAt(port, handle);
    return known?.listed === true ? unlessUsed(port, found) : found;
  };
  const vfs = await vfsOf(port, pci.address);
  if (vfs.size === 0) {
    const pf = await at({ name: "pf", type: "PF", address: pci.address });
    return { handles: [pf], layout: "pf" };
  }
  const handles: InventoryHandle[] = [];
  for (const [index, address] of vfs) {
    handles.push(await at({ name: `vf${index}`, type: "VF", address }));
  }
  return { handles, layout: "vfs" };
}

/** Whole cards and VFs that the host works with itself are shown, and never handed out. */
async function unlessUsed(port: SysfsPort, handle: InventoryHandle): Promise<InventoryHandle> {
  const use = await hostUse(port, handle.address);
  if (use === undefined) return handle;
  return { ...handle, attachable: false, reason: `IN_USE_BY_HOST: ${use}`.slice(0, 128) };
}
