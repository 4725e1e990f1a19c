import { Buffer } from "node:buffer";
import { headerInvalid, requireBytes, requireFileSize, truncated } from "./faults.ts";
import { uuidFromBytes } from "./uuid.ts";
import { axlf, type XclbinMode, xclbinModes } from "./xclbin-layout.ts";
import { readSections, type XclbinSection } from "./xclbin-sections.ts";

/** Facts of an xclbin. Ids are lower-case with dashes; offsets and sizes are bytes. */
export interface XclbinHeader {
  readonly format: "xclbin";
  /** Region the image was built for; older files name only the platform in `vbnv`. */
  readonly interfaceId?: string;
  /** The xclbin's own uuid, which XRT shows as `xclbinuuid` once it is loaded. */
  readonly functionId: string;
  /** vendor:board:name:version of the platform; empty when only `interfaceId` is given. */
  readonly vbnv: string;
  readonly mode: XclbinMode;
  readonly sections: readonly XclbinSection[];
  /** A PKCS#7 signature is appended; only the driver can say whether it is good. */
  readonly signedByVendor: boolean;
}

/**
 * Reads the header of an xclbin. `head` are the first bytes of the file (at least
 * `xclbinHeadBytes`, or all of a shorter file), `fileSize` the size of the whole file in bytes.
 * Throws IMAGE_TRUNCATED and IMAGE_HEADER_INVALID.
 */
export function parseXclbin(head: Uint8Array, fileSize: number): XclbinHeader {
  requireFileSize(head, fileSize);
  const view = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  requireBytes(head, axlf.magic.length, "magic");
  if (view.compare(axlf.magic, 0, 8, 0, 8) !== 0) throw headerInvalid("magic", '"xclbin2"');
  requireBytes(head, axlf.sections, "xclbin header");
  const signatureBytes = readSignatureLength(view);
  checkLength(view, fileSize, signatureBytes);
  const identity = readIdentity(view);
  const sections = readSections(view, fileSize - signatureBytes);
  return { format: "xclbin", ...identity, sections, signedByVendor: signatureBytes > 0 };
}

/** Bytes of the appended signature. -1 says none; so does 0, which tools before signing left there. */
function readSignatureLength(view: Buffer): number {
  const length = view.readInt32LE(axlf.signatureLength);
  if (length < -1) throw headerInvalid("signature length", "-1 or more");
  return Math.max(length, 0);
}

/**
 * The length counts the signature when xclbinutil signed the file and does not count it when another
 * tool appended one, so a signed file may state either.
 */
function checkLength(view: Buffer, fileSize: number, signatureBytes: number): void {
  const length = view.readBigUInt64LE(axlf.length);
  if (length > BigInt(fileSize)) throw truncated("sections", `${length} bytes`);
  if (signatureBytes > fileSize - axlf.sections) {
    throw truncated("signature", `${axlf.sections + signatureBytes} bytes`);
  }
  if (length !== BigInt(fileSize) && length !== BigInt(fileSize - signatureBytes)) {
    throw headerInvalid("length", `the file's size, ${fileSize} bytes`);
  }
}

type Identity = Pick<XclbinHeader, "interfaceId" | "functionId" | "vbnv" | "mode">;

function readIdentity(view: Buffer): Identity {
  const mode = xclbinModes[view.readUInt16LE(axlf.mode)];
  if (mode === undefined) throw headerInvalid("mode", "one for hardware (0 to 3)");
  const functionId = uuidFromBytes(view.subarray(axlf.uuid.start, axlf.uuid.end));
  if (functionId === undefined) throw headerInvalid("uuid", "a uuid that is not all zero");
  const { start, end } = axlf.interfaceId;
  const interfaceId = uuidFromBytes(view.subarray(start, end));
  const vbnv = readVbnv(view);
  if (vbnv === "" && interfaceId === undefined) {
    throw headerInvalid("platform", "named by a VBNV or an interface uuid");
  }
  return { functionId, vbnv, mode, ...(interfaceId !== undefined && { interfaceId }) };
}

function readVbnv(view: Buffer): string {
  const { start, end } = axlf.vbnv;
  const field = view.subarray(start, end);
  const length = field.indexOf(0);
  if (length < 0) throw headerInvalid("VBNV", "ended by NUL");
  const text = field.toString("latin1", 0, length);
  if (!/^[\x21-\x7e]*$/.test(text)) throw headerInvalid("VBNV", "printable ASCII without spaces");
  return text;
}
