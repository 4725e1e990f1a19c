import { Buffer } from "node:buffer";
import { headerInvalid, requireBytes, truncated } from "./faults.ts";

/**
 * Intel's signature envelope in front of the raw bitstream: Block0 (128 bytes) says what follows and
 * its digests, Block1 (896 bytes) carries the key chain (host.md §2.6; field offsets as OPAE's
 * PACSign writes them). The card verifies the chain, we only refuse what it must never be given.
 */
export const pacsign = {
  block0Magic: 0xb6ea_fd19,
  block1Magic: 0xf27f_28d7,
  rootEntryMagic: 0xa757_a046,
  block0Bytes: 128,
  blockBytes: 1024,
  /** PACSign pads what it signs to a multiple of this. */
  contentUnit: 128,
  rootEntryOffset: 144,
  /** X and Y of the root key, 48 bytes each. */
  rootKey: { start: 160, end: 256 },
} as const;

/** How many bytes from the start of Block0 are looked at. */
export const pacsignHeadBytes = pacsign.rootKey.end;

/** Block0's content types besides a GBS; all of them rewrite flash or burn keys (host.md §2.3). */
const contentNames: Readonly<Record<number, string>> = {
  0: "a static region",
  1: "board controller firmware",
  2: "a GBS",
};
const updateNames: Readonly<Record<number, string>> = {
  0: "update",
  1: "key cancellation",
  2: "root key hash",
  3: "root key hash",
};
const gbsUpdate = "a GBS update";

/** True when Block0 starts at `offset`; false also when `bytes` end before its magic does. */
export function startsPacsign(bytes: Uint8Array, offset: number): boolean {
  const view = asBuffer(bytes);
  return view.length >= offset + 4 && view.readUInt32LE(offset) === pacsign.block0Magic;
}

/** What a Block0 at `offset` announces, in words, e.g. "a static region update". Needs 12 bytes. */
export function pacsignContent(bytes: Uint8Array, offset: number): string {
  requireBytes(bytes, offset + 12, "Block0");
  const content = bytes[offset + 8] ?? 0;
  const update = bytes[offset + 9] ?? 0;
  const what = contentNames[content] ?? `content of type ${content}`;
  return `${what} ${updateNames[update] ?? `of kind ${update}`}`;
}

/**
 * Checks the envelope at `offset`, after which `length` bytes of the file remain.
 * Returns true when a root key is in the chain; PACSign also makes envelopes with an empty chain,
 * which prove nothing. Throws IMAGE_TRUNCATED and IMAGE_HEADER_INVALID.
 */
export function checkPacsign(head: Uint8Array, offset: number, length: number): boolean {
  const content = pacsignContent(head, offset);
  if (content !== gbsUpdate) {
    throw headerInvalid("Block0 content type", `${gbsUpdate}: ${content} is never programmed here`);
  }
  if (length < pacsign.blockBytes + pacsign.contentUnit) throw truncated("Block1", "1024 bytes");
  requireBytes(head, offset + pacsignHeadBytes, "Block1");
  const view = asBuffer(head);
  checkContentLength(view.readUInt32LE(offset + 4), length - pacsign.blockBytes);
  if (view.readUInt32LE(offset + pacsign.block0Bytes) !== pacsign.block1Magic) {
    throw headerInvalid("Block1 magic", "0xf27f28d7");
  }
  return hasRootKey(view, offset);
}

function checkContentLength(announced: number, present: number): void {
  if (announced > present) throw truncated("signed content", `${announced} bytes`);
  if (announced !== present || announced % pacsign.contentUnit !== 0) {
    throw headerInvalid("Block0 content length", "the rest of the file, a multiple of 128");
  }
}

function hasRootKey(view: Buffer, offset: number): boolean {
  const { start, end } = pacsign.rootKey;
  return (
    view.readUInt32LE(offset + pacsign.rootEntryOffset) === pacsign.rootEntryMagic &&
    view.subarray(offset + start, offset + end).some((byte) => byte !== 0)
  );
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
