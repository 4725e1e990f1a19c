import { Fault } from "#domain/faults";
import { type AfiHeader, agfiPrefix, parseAfi, startsAfi } from "./afi.ts";
import { headerInvalid, truncated } from "./faults.ts";
import { type GbsHeader, gbsHeadBytes, gbsMagic, isLegacyGbs, parseGbs } from "./gbs.ts";
import { pacsignContent, startsPacsign } from "./pacsign.ts";
import { parseXclbin, type XclbinHeader } from "./xclbin.ts";
import { axlf, xclbinHeadBytes } from "./xclbin-layout.ts";

/** Facts of a raw bitstream: none is in its bytes, all are its signed manifest's (host.md §2.6). */
export interface RawHeader {
  readonly format: "raw";
  readonly interfaceId: string;
  readonly functionId: string;
}

/** Facts that the bytes of an image tell by themselves. */
export type MagicHeader = GbsHeader | XclbinHeader | AfiHeader;

/** Facts of an image, told apart by `format`. */
export type ImageHeader = MagicHeader | RawHeader;

/**
 * Leading bytes that suffice to read the header of any acceptable image (or the whole file when it is
 * shorter): the larger of the longest GBS head and the largest section table of an xclbin. Everything
 * after them is opaque payload, so nothing else of an image ever has to be held in memory.
 */
export const headBytesNeeded: number = Math.max(gbsHeadBytes, xclbinHeadBytes);

/** What a .bit, .rbf or .bin needs, said where somebody meets the refusal. */
const rawWay = "A raw bitstream needs format=raw and a signed manifest";

/**
 * Reads the header of an image, choosing the format by its magic.
 * `head` are the first `headBytesNeeded` bytes of the file (all of a shorter file), `fileSize` is the
 * size of the whole file in bytes. Never reads outside `head`.
 * Throws IMAGE_TRUNCATED, IMAGE_FORMAT_UNKNOWN or IMAGE_HEADER_INVALID with {field, expected}.
 */
export function readImageHeader(head: Uint8Array, fileSize: number): MagicHeader {
  if (startsWith(head, axlf.magic)) return parseXclbin(head, fileSize);
  if (startsWith(head, gbsMagic) || isLegacyGbs(head)) return parseGbs(head, fileSize);
  if (startsAfi(head)) return parseAfi(head, fileSize);
  if (startsPacsign(head, 0)) {
    throw headerInvalid("format", `a GBS, but a bare signed file with ${pacsignContent(head, 0)}`);
  }
  if ([axlf.magic, gbsMagic, agfiPrefix].some((magic) => startsWith(magic, head))) {
    throw truncated("magic", "8 bytes of an xclbin, 16 of a GBS or an AFI id");
  }
  throw new Fault("IMAGE_FORMAT_UNKNOWN", `The image starts with no known magic. ${rawWay}`, {
    field: "magic",
    expected: "a GBS (XeonFPGA\\xb7GBSv001), an xclbin (xclbin2) or an AFI id (agfi-)",
  });
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length >= prefix.length && prefix.every((byte, index) => bytes[index] === byte);
}
