import { Buffer } from "node:buffer";

/** Layout of an xclbin (axlf), all little endian (host.md §2.6; sizes asserted by XRT's xclbin.h). */
export const axlf = {
  magic: Buffer.from("xclbin2\0", "latin1") as Uint8Array,
  signatureLength: 8,
  reserved: { start: 12, end: 40 },
  uniqueId: 296,
  length: 304,
  timestamp: 312,
  versionMajor: 330,
  versionMinor: 331,
  mode: 332,
  interfaceId: { start: 336, end: 352 },
  vbnv: { start: 352, end: 416 },
  uuid: { start: 416, end: 432 },
  sectionCount: 448,
  sections: 456,
  sectionBytes: 40,
  /** Within a section header: u32 kind, name[16], u64 offset, u64 size. */
  section: { name: { start: 4, end: 20 }, offset: 24, size: 32 },
  /** Sections start on multiples of this, with zeros between them. */
  alignment: 8,
} as const;

/**
 * Most sections taken. XRT allows 65536, whose table alone would be 2.6 MB of unread hostile input;
 * xclbin.h knows 36 kinds and real files hold about 10 to 40 sections, so 512 is ample and keeps
 * the head a caller has to hold at 20 KB.
 */
export const maxXclbinSections = 512;

/** Longest head an xclbin needs: fixed header and the largest section table. */
export const xclbinHeadBytes = axlf.sections + axlf.sectionBytes * maxXclbinSections;

/** XCLBIN_MODE by number. The emulation modes that follow are for no card and are refused. */
export const xclbinModes = ["flat", "pr", "tandem-stage2", "tandem-stage2-pr"] as const;

export type XclbinMode = (typeof xclbinModes)[number];
