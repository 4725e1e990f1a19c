import { Buffer } from "node:buffer";
import { partInvalid } from "./faults.ts";
import { parseUuid, uuidToBytes } from "./uuid.ts";
import { axlf, maxXclbinSections, type XclbinMode, xclbinModes } from "./xclbin-layout.ts";

/** Parts of an xclbin. Ids are dashed uuids; `timestamp` is whole seconds since 1970. */
export interface XclbinParts {
  readonly uuid: string;
  readonly interfaceId?: string;
  /** vendor:board:name:version, at most 63 printable ASCII characters. */
  readonly vbnv: string;
  readonly sections: readonly XclbinSectionParts[];
  readonly timestamp: number;
  /** `pr` when not given, as for every Alveo shell. */
  readonly mode?: XclbinMode;
}

/** `kind` as in xclbin.h; `name` at most 15 printable ASCII characters. */
interface XclbinSectionParts {
  readonly kind: number;
  readonly name: string;
  readonly data: Uint8Array;
}

/**
 * Makes the bytes of an unsigned xclbin. Equal parts give equal bytes.
 * Throws INVALID_REQUEST when the parts make no valid xclbin.
 */
export function encodeXclbin(parts: XclbinParts): Buffer {
  checkParts(parts);
  const tableEnd = axlf.sections + parts.sections.length * axlf.sectionBytes;
  const offsets: number[] = [];
  let end = tableEnd;
  for (const section of parts.sections) {
    const offset = Math.ceil(end / axlf.alignment) * axlf.alignment;
    offsets.push(offset);
    end = offset + section.data.length;
  }
  const file = Buffer.alloc(end);
  writeHeader(file, parts);
  for (const [index, section] of parts.sections.entries()) {
    writeSection(file, index, { ...section, offset: offsets[index] ?? 0 });
  }
  return file;
}

function writeHeader(file: Buffer, parts: XclbinParts): void {
  file.set(axlf.magic, 0);
  file.writeInt32LE(-1, axlf.signatureLength);
  file.fill(0xff, axlf.reserved.start, axlf.reserved.end);
  file.writeBigUInt64LE(BigInt(parts.timestamp), axlf.uniqueId);
  file.writeBigUInt64LE(BigInt(file.length), axlf.length);
  file.writeBigUInt64LE(BigInt(parts.timestamp), axlf.timestamp);
  file.writeUInt8(2, axlf.versionMajor);
  file.writeUInt8(1, axlf.versionMinor);
  file.writeUInt16LE(xclbinModes.indexOf(parts.mode ?? "pr"), axlf.mode);
  if (parts.interfaceId !== undefined) {
    file.set(uuidToBytes(parts.interfaceId), axlf.interfaceId.start);
  }
  file.write(parts.vbnv, axlf.vbnv.start, "latin1");
  file.set(uuidToBytes(parts.uuid), axlf.uuid.start);
  file.writeUInt32LE(parts.sections.length, axlf.sectionCount);
}

function writeSection(
  file: Buffer,
  index: number,
  section: XclbinSectionParts & { readonly offset: number },
): void {
  const base = axlf.sections + index * axlf.sectionBytes;
  file.writeUInt32LE(section.kind, base);
  file.write(section.name, base + axlf.section.name.start, "latin1");
  file.writeBigUInt64LE(BigInt(section.offset), base + axlf.section.offset);
  file.writeBigUInt64LE(BigInt(section.data.length), base + axlf.section.size);
  file.set(section.data, section.offset);
}

function checkParts(parts: XclbinParts): void {
  requirePart(parseUuid(parts.uuid) !== undefined, "uuid", "a uuid with dashes");
  requirePart(
    parts.interfaceId === undefined || parseUuid(parts.interfaceId) !== undefined,
    "interfaceId",
    "a uuid with dashes",
  );
  requirePart(/^[\x21-\x7e]{1,63}$/.test(parts.vbnv), "vbnv", "1 to 63 printable characters");
  requirePart(
    Number.isSafeInteger(parts.timestamp) && parts.timestamp >= 0,
    "timestamp",
    "whole seconds since 1970",
  );
  requirePart(
    parts.sections.length >= 1 && parts.sections.length <= maxXclbinSections,
    "sections",
    `1 to ${maxXclbinSections} sections`,
  );
  for (const [index, { kind, name }] of parts.sections.entries()) {
    requirePart(
      Number.isInteger(kind) && kind >= 0 && kind <= 0xffff_ffff,
      `sections.${index}.kind`,
      "a u32",
    );
    requirePart(
      /^[\x20-\x7e]{0,15}$/.test(name),
      `sections.${index}.name`,
      "at most 15 printable characters",
    );
  }
}

function requirePart(holds: boolean, field: string, expected: string): void {
  if (!holds) throw partInvalid(field, expected);
}
