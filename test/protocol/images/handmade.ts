import { Buffer } from "node:buffer";
import { expect } from "vitest";
import { Fault, type FaultCode } from "#domain/faults";

// Images written byte by byte from the published layouts. Nothing here uses the code under test, so
// an encoder and a parser that are wrong in the same way are found out.

export const interfaceId = "69528db6-eb31-577a-8c36-68f9faa081f6";
export const functionId = "d8424dc4-a4a3-c413-f89e-433683f9040b";

/** The metadata of OPAE's loopback example, as its packager writes it. */
export const gbsJson = `{"version": 640, "afu-image": {"clock-frequency-high": 312.5, "clock-frequency-low": "auto", "power": 50, "interface-uuid": "69528DB6-EB31-577A-8C36-68F9FAA081F6", "magic-no": 488605312, "accelerator-clusters": [{"total-contexts": 1, "name": "nlb_400", "accelerator-type-uuid": "d8424dc4-a4a3-c413-f89e-433683f9040b"}]}, "platform-name": "DCP"}`;

export function u32(value: number): Buffer {
  return Buffer.from([value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24]);
}

function u64(value: bigint): Buffer {
  return Buffer.concat([u32(Number(value & 0xffff_ffffn)), u32(Number(value >> 32n))]);
}

export const gbsMagicBytes = Buffer.from("XeonFPGA\xb7GBSv001", "latin1");

export function gbsBytes(
  json: string | Uint8Array = gbsJson,
  payload: Uint8Array = Buffer.from("deadbeef00112233", "hex"),
  length?: number,
): Buffer {
  const metadata = Buffer.from(json as string);
  return Buffer.concat([gbsMagicBytes, u32(length ?? metadata.length), metadata, payload]);
}

export interface SignedOptions {
  readonly type?: number;
  readonly length?: number;
  readonly announced?: number;
  readonly rootKey?: boolean;
  readonly block1?: number;
}

/** PACSign's Block0, Block1 and content; `rootKey` false leaves the key chain empty. */
export function signedPayload(options: SignedOptions = {}): Buffer {
  const { type = 2, length = 256, rootKey = true, block1 = 0xf27f28d7 } = options;
  const { announced = length } = options;
  const blocks = Buffer.alloc(1024);
  u32(0xb6eafd19).copy(blocks, 0);
  u32(announced).copy(blocks, 4);
  u32(type).copy(blocks, 8);
  u32(block1).copy(blocks, 128);
  u32(0xa757a046).copy(blocks, 144);
  if (rootKey) blocks.fill(0x5a, 160, 192);
  return Buffer.concat([blocks, Buffer.alloc(length, 0xc3)]);
}

export interface HandmadeSection {
  readonly kind: number;
  readonly name?: string;
  readonly offset: bigint;
  readonly size: bigint;
}

export const xclbinUuid = "27b4f2c4-9e5a-4f0e-8a2b-1d0f33aa5501";
export const vbnv = "xilinx_u250_gen3x16_xdma_4_1_202210_1";

export interface XclbinOptions {
  readonly magic?: string;
  readonly signature?: number;
  readonly fileSize?: number;
  readonly length?: bigint;
  readonly mode?: number;
  readonly region?: string;
  readonly platform?: Buffer;
  readonly uuid?: string;
  readonly sections?: readonly HandmadeSection[];
  readonly count?: number;
}

const twoSections: readonly HandmadeSection[] = [
  { kind: 0, name: "bitstream", offset: 536n, size: 64n },
  { kind: 8, name: "ip_layout", offset: 600n, size: 40n },
];

const usualXclbin = {
  magic: "xclbin2\0",
  signature: 0xffff_ffff,
  fileSize: 640,
  mode: 1,
  region: interfaceId,
  platform: Buffer.from(`${vbnv}\0`, "latin1"),
  uuid: xclbinUuid,
  sections: twoSections,
};

/** An xclbin of 640 bytes with two sections, unless told otherwise. */
export function xclbinBytes(options: XclbinOptions = {}): Buffer {
  const values = { ...usualXclbin, ...options };
  const { magic, signature, fileSize, mode, region, platform, uuid, sections } = values;
  const { length = BigInt(fileSize), count = sections.length } = options;
  const file = Buffer.alloc(fileSize, 0x11);
  file.fill(0, 0, Math.min(fileSize, 456 + 40 * sections.length));
  Buffer.from(magic, "latin1").copy(file, 0);
  u32(signature).copy(file, 8);
  file.fill(0xff, 12, 40);
  u64(length).copy(file, 304);
  Buffer.from([mode & 0xff, mode >> 8]).copy(file, 332);
  Buffer.from(region.replaceAll("-", ""), "hex").copy(file, 336);
  platform.copy(file, 352, 0, 64);
  Buffer.from(uuid.replaceAll("-", ""), "hex").copy(file, 416);
  u32(count).copy(file, 448);
  for (const [index, section] of sections.entries()) {
    const base = 456 + 40 * index;
    u32(section.kind).copy(file, base);
    Buffer.from(section.name ?? "", "latin1").copy(file, base + 4, 0, 16);
    u64(section.offset).copy(file, base + 24);
    u64(section.size).copy(file, base + 32);
  }
  return file;
}

/** Expects `act` to throw a Fault of `code` (and about `field`), and returns it. */
export function expectFault(act: () => unknown, code: FaultCode, field?: string): Fault {
  const fault = faultOf(act);
  expect(fault?.code).toBe(code);
  if (field !== undefined) expect(fault?.detail.field).toBe(field);
  return fault ?? new Fault("INTERNAL");
}

/** The Fault `act` throws, or undefined when it throws nothing; any other error passes through. */
export function faultOf(act: () => unknown): Fault | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}
