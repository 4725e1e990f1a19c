import type { Buffer } from "node:buffer";
import { headerInvalid, requireBytes } from "./faults.ts";
import { axlf, maxXclbinSections } from "./xclbin-layout.ts";

/** One section of an xclbin. `offset` counts from the start of the file; both numbers are bytes. */
export interface XclbinSection {
  /** axlf_section_kind of xclbin.h: 0 BITSTREAM, 8 IP_LAYOUT, 18 PDI, 20 PARTITION_METADATA … */
  readonly kind: number;
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** Kinds that rewrite the card's flash; no tenant's image may carry them (host.md §2.4, §6.2). */
const flashKinds: Readonly<Record<number, string>> = { 12: "MCS", 13: "BMC", 24: "ASK_FLASH" };

/**
 * Reads the section table. Every present section must lie between the table and `contentEnd`
 * (bytes; where an appended signature starts) and no two may share a byte.
 * Throws IMAGE_TRUNCATED and IMAGE_HEADER_INVALID.
 */
export function readSections(view: Buffer, contentEnd: number): readonly XclbinSection[] {
  const count = view.readUInt32LE(axlf.sectionCount);
  if (count < 1 || count > maxXclbinSections) {
    throw headerInvalid("section count", `from 1 to ${maxXclbinSections}`);
  }
  const tableEnd = axlf.sections + count * axlf.sectionBytes;
  requireBytes(view, tableEnd, "section table");
  const sections = Array.from({ length: count }, (_, index) =>
    readSection(view, index, { start: tableEnd, end: contentEnd }),
  );
  checkOverlaps(sections);
  return sections;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

function readSection(view: Buffer, index: number, inside: Range): XclbinSection {
  const base = axlf.sections + index * axlf.sectionBytes;
  const kind = view.readUInt32LE(base);
  const flash = flashKinds[kind];
  const field = `sections.${index}`;
  if (flash !== undefined) throw headerInvalid(field, `free of flash content (${flash})`);
  const offset = view.readBigUInt64LE(base + axlf.section.offset);
  const size = view.readBigUInt64LE(base + axlf.section.size);
  // An absent section is written as 0/0. Sums stay exact because they are bigint.
  const absent = offset === 0n && size === 0n;
  if (!absent && (offset < BigInt(inside.start) || offset + size > BigInt(inside.end))) {
    throw headerInvalid(field, `within bytes ${inside.start} to ${inside.end} of the file`);
  }
  const name = readName(view, base, field);
  return { kind, name, offset: Number(offset), size: Number(size) };
}

function readName(view: Buffer, base: number, field: string): string {
  const { start, end } = axlf.section.name;
  const text = view.toString("latin1", base + start, base + end).split("\0", 1)[0] ?? "";
  if (!/^[\x20-\x7e]*$/.test(text)) throw headerInvalid(`${field}.name`, "printable ASCII");
  return text;
}

function checkOverlaps(sections: readonly XclbinSection[]): void {
  const present = sections.filter(({ size }) => size > 0).toSorted((a, b) => a.offset - b.offset);
  let end = 0;
  for (const section of present) {
    if (section.offset < end) {
      throw headerInvalid(`sections.${sections.indexOf(section)}`, "apart from other sections");
    }
    end = section.offset + section.size;
  }
}
