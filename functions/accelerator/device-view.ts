import { type Deployable, isOfferable } from "#domain/deployable";
import type { Device } from "#domain/host";
import { refusal } from "./errors.ts";
import { changeOf, selfLink, timeOf } from "./links.ts";
import type { FilterField } from "./query.ts";
import { asUuid } from "./uuids.ts";

/** A card with what of it is programmed as one. */
export interface Card {
  readonly device: Device;
  readonly deployables: readonly Deployable[];
}

/** PCI class names, as the drivers of Cyborg write them beside the device id. */
const classNames: Readonly<Record<Device["kind"], string>> = {
  FPGA: "Processing accelerators",
  GPU: "3D controller",
  NIC: "Ethernet controller",
  QAT: "Co-processor",
  SSD: "Non-Volatile memory controller",
};

/** First minor version in which a device has a status. */
const statusMinor = 3;

/** A card as Cyborg shows it, in its order of members (cyborg.md §1.4). */
export function cardView({ device, deployables }: Card, base: string, minor: number) {
  const { id, kind, address, layout, driver, cardId, pciDevice, updatedAt } = device;
  const createdAt = device.createdAt ?? updatedAt;
  const isEnabled = deployables.length === 0 || deployables.some(({ enabled }) => enabled);
  return {
    uuid: id,
    type: kind,
    vendor: vendorId(device),
    model: device.product,
    std_board_info: JSON.stringify({ device_id: `0x${pciDevice}`, class: classNames[kind] }),
    vendor_board_info: JSON.stringify({ address, layout, driver, card: cardId }),
    hostname: device.hostName,
    ...(minor < statusMinor ? {} : { status: isEnabled ? "enabled" : "maintaining" }),
    links: [selfLink(base, "devices", id)],
    created_at: timeOf(createdAt),
    updated_at: changeOf(createdAt, updatedAt),
  };
}

const vendorId = ({ pciVendor }: Device) => `0x${pciVendor}`;

/** Arguments of the list of cards that filter it. */
export const cardArguments = ["type", "vendor", "hostname"] as const;

/** True for a card that the arguments and filters of a list ask for. 400 for a value that means nothing. */
export function isWanted(
  card: Card,
  query: URLSearchParams,
  filters: ReadonlyMap<FilterField, string>,
): boolean {
  const { device } = card;
  const [type, vendor, hostname] = cardArguments.map((name) => query.get(name));
  const vendors = [vendorId(device), device.vendor].map((name) => name.toLowerCase());
  return (
    (typeof type !== "string" || type === device.kind) &&
    (typeof vendor !== "string" || vendors.includes(vendor.toLowerCase())) &&
    (typeof hostname !== "string" || hostname === device.hostName) &&
    [...filters].every(([field, value]) => meets(card, field, value))
  );
}

function meets({ device, deployables }: Card, field: FilterField, value: string): boolean {
  if (field === "name") return value === nameOf(device);
  if (field === "board") return value === device.product;
  return meetsCommonly({ id: device.id, deployables }, field, value);
}

const nameOf = ({ hostName, address }: Device) => `${hostName}_${address}`;

/** Filters that ask the same of a card and of a deployable; other fields are no conditions. */
export function meetsCommonly(
  { id, deployables }: { readonly id: string; readonly deployables: readonly Deployable[] },
  field: FilterField,
  value: string,
): boolean {
  const handles = deployables.flatMap((one) => Object.values(one.handles));
  switch (field) {
    // Nothing here has a parent, and everything is its own root.
    case "parent_uuid":
      return false;
    case "root_uuid":
      return asUuid(value) === id;
    case "availability":
      return isAvailability(value) === deployables.some(isOfferable);
    case "interface_type":
      return handles.some(({ type }) => (type === "MDEV" ? "mdev" : "pci") === value.toLowerCase());
    case "instance_uuid":
      return handles.some(({ holder }) => holder?.instance === (asUuid(value) ?? value));
    case "limit":
    case "marker":
    case "sort_key":
    case "sort_dir":
    case "name":
    case "board":
      return true;
    default:
      return field satisfies never;
  }
}

function isAvailability(value: string): boolean {
  const text = value.toLowerCase();
  if (text === "available" || text === "unavailable") return text === "available";
  throw refusal(
    400,
    `Invalid input for field/attribute availability. Value: '${value}'. Value should be one of: available, unavailable`,
  );
}
