import { createHash } from "node:crypto";

/** RFC 9562 namespace for DNS names; Cyborg and Placement derive provider uuids from it. */
const dnsNamespace = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
/** Gatehouse's own namespace: uuid5(DNS, "gatehouse"). */
const gatehouseNamespace = nameBased(5, dnsNamespace, "gatehouse");

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True for a lower-case uuid with dashes. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

function nameBased(version: 3 | 5, namespace: string, name: string): string {
  const hash = createHash(version === 3 ? "md5" : "sha1")
    .update(Buffer.from(namespace.replaceAll("-", ""), "hex"))
    .update(name)
    .digest()
    .subarray(0, 16);
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | (version << 4), 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString("hex");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}

/** A uuid that depends only on `parts`: version 5 in Gatehouse's namespace. */
export function uuidOf(...parts: readonly string[]): string {
  return nameBased(5, gatehouseNamespace, parts.join("\n"));
}

/** A deployable's id (design §2): stable across reboots, renumbering and re-creation of its row. */
export function deployableId(hostId: string, cardId: string, region: string): string {
  return uuidOf("deployable", hostId, cardId, region);
}

/** A card's id: stable for one serial or slot path on one host. */
export function deviceId(hostId: string, cardId: string): string {
  return uuidOf("device", hostId, cardId);
}

/** The uuid of a Placement provider of this name, as Cyborg makes it (cyborg.md §4). */
export function providerId(name: string): string {
  return nameBased(3, dnsNamespace, name);
}
