import * as z from "zod/mini";
import { handleName, health, label, loaded, pciAddress, scrubMethod, uuid } from "./shapes.ts";

/** One attach point as found on the host. `attachable: false` needs a reason (host.md §3.3). */
export const inventoryHandle = z.looseObject({
  name: handleName,
  type: z.enum(["PF", "VF", "MDEV"]),
  address: pciAddress,
  iommuGroup: z.optional(z.int()),
  attachable: z.boolean(),
  reason: z.optional(label),
});

/** What is programmed as one. `region` is "card" or the region's key on the card, such as "port0". */
export const inventoryDeployable = z.looseObject({
  id: uuid,
  region: label,
  /** The interface id images must name; absent when nothing can be programmed. */
  interfaceId: z.optional(uuid),
  programmable: z.boolean(),
  /** None known = never offered (design §1.5). */
  scrubMethod: z.optional(scrubMethod),
  /** Who may hold handles of one deployable at the same time. */
  sharing: z.enum(["none", "project", "any"]),
  loaded,
  /** A pass-through driver has the handle and the card cannot be asked: `loaded` says nothing. */
  opaque: z.optional(z.literal(true)),
  health,
  handles: z.array(inventoryHandle).check(z.minLength(1), z.maxLength(64)),
});

/** A card. `cardId` is its serial or slot path, never its PCI address. */
export const inventoryDevice = z.looseObject({
  cardId: label,
  kind: z.enum(["FPGA", "GPU", "NIC", "QAT", "SSD"]),
  vendor: label,
  product: label,
  pciVendor: z.string().check(z.regex(/^[0-9a-f]{4}$/)),
  pciDevice: z.string().check(z.regex(/^[0-9a-f]{4}$/)),
  address: pciAddress,
  numaNode: z.optional(z.int()),
  driver: label,
  layout: z.enum(["whole", "regions", "pf", "vfs"]),
  deployables: z.array(inventoryDeployable).check(z.minLength(1), z.maxLength(64)),
});
export type InventoryDevice = z.infer<typeof inventoryDevice>;
export type InventoryDeployable = z.infer<typeof inventoryDeployable>;
export type InventoryHandle = z.infer<typeof inventoryHandle>;
