import { Buffer } from "node:buffer";

const dashed = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const bare = /^[0-9a-f]{32}$/;

/** What vendors write when an id is not set. It can never be proven by a read back. */
const nilUuid = "00000000-0000-0000-0000-000000000000";

/**
 * The lower-case form with dashes, or undefined when `text` is no dashed uuid or is the nil uuid.
 * Upper case is accepted because OPAE reads ids with `uuid_parse`, which ignores case.
 */
export function parseUuid(text: string): string | undefined {
  const lower = text.toLowerCase();
  return dashed.test(lower) && lower !== nilUuid ? lower : undefined;
}

/** As {@link parseUuid}, and takes 32 hex digits too: sysfs and Intel's file store drop the dashes. */
export function parseLooseUuid(text: string): string | undefined {
  const lower = text.toLowerCase();
  return parseUuid(bare.test(lower) ? withDashes(lower) : lower);
}

/** Reads 16 bytes in the order they are printed; undefined for the nil uuid. */
export function uuidFromBytes(bytes: Uint8Array): string | undefined {
  return parseUuid(withDashes(Buffer.from(bytes).toString("hex")));
}

/** The 16 bytes of a dashed uuid, in the order they are printed. */
export function uuidToBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}

function withDashes(hex: string): string {
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}
