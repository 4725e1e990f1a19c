import { Buffer } from "node:buffer";
import { uuidOf } from "../uuid.ts";
import { headerInvalid, requireFileSize } from "./faults.ts";

/** How every image of this format starts; `afi-`, the regional form, is known only to be refused. */
export const agfiPrefix: Uint8Array = Buffer.from("agfi-");
const afiPrefix: Uint8Array = Buffer.from("afi-");

/** `agfi-`, 17 digits and one line feed. */
const maxAfiBytes = 23;

/** A global AFI id, as host.md §2.6 states it. */
const agfiPattern = /^agfi-[0-9a-f]{17}$/;

/** Facts of an AFI: an id under which AWS keeps the bitstream, for no one else ever sees its bytes. */
export interface AfiHeader {
  readonly format: "afi";
  /** Global AFI id, `agfi-` and 17 lower-case hex digits. */
  readonly agfi: string;
  readonly functionId: string;
  /** Shell the AFI was built for. The id does not tell: it comes from metadata or the manifest. */
  readonly interfaceId?: string;
}

/** True for a global AFI id: `agfi-` and 17 lower-case hex digits (host.md §2.6). */
export function isAgfi(text: string): boolean {
  return agfiPattern.test(text);
}

/**
 * The function id of an AFI, the same wherever it is computed: a driver maps what a slot says it has
 * loaded to the id that the image has. Throws IMAGE_HEADER_INVALID when `agfi` is no global AFI id.
 */
export function afiFunctionId(agfi: string): string {
  if (!isAgfi(agfi)) throw headerInvalid("AFI id", "agfi- and 17 lower-case hex digits");
  return uuidOf("afi", agfi);
}

/** True for bytes that begin as an AFI id does, global or regional. */
export function startsAfi(head: Uint8Array): boolean {
  return begins(head, agfiPrefix) || begins(head, afiPrefix);
}

/**
 * Reads an AFI: the whole file is a global AFI id with at most one line feed after it. `head` is the
 * file's start, `fileSize` its size in bytes. Throws IMAGE_HEADER_INVALID.
 */
export function parseAfi(head: Uint8Array, fileSize: number): AfiHeader {
  requireFileSize(head, fileSize);
  if (begins(head, afiPrefix)) {
    throw headerInvalid("AFI id", "a global one (agfi-…): an afi-… id is good in one region only");
  }
  if (fileSize > maxAfiBytes || fileSize !== head.length) {
    throw headerInvalid("size", `that of an AFI id, at most ${maxAfiBytes} bytes`);
  }
  const text = Buffer.from(head).toString("latin1");
  const agfi = text.endsWith("\n") ? text.slice(0, -1) : text;
  return { format: "afi", agfi, functionId: afiFunctionId(agfi) };
}

function begins(head: Uint8Array, prefix: Uint8Array): boolean {
  return head.length >= prefix.length && prefix.every((byte, index) => head[index] === byte);
}
