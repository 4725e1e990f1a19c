import { Buffer } from "node:buffer";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { headBytesNeeded, readImageHeader } from "#protocol/images/header";
import {
  canonicalVendor,
  checkMetadata,
  type ImageMetadata,
  vendorOf,
} from "#protocol/images/metadata";
import {
  expectFault,
  faultOf,
  functionId,
  gbsBytes,
  gbsJson,
  interfaceId,
  signedPayload,
  u32,
  xclbinBytes,
  xclbinUuid,
} from "./handmade.ts";

const read = (file: Buffer) => readImageHeader(file.subarray(0, headBytesNeeded), file.length);

describe("reading an image's header", () => {
  test("chooses the format by its magic", () => {
    expect(read(gbsBytes()).format).toBe("gbs");
    expect(read(xclbinBytes()).format).toBe("xclbin");
  });

  test("reads the same from the needed head as from the whole file", () => {
    const big = gbsBytes(gbsJson, Buffer.alloc(100_000, 7));
    expect(read(big)).toEqual(readImageHeader(big, big.length));
    expect(headBytesNeeded).toBe(456 + 40 * 512);
  });

  test("of a cut file says that it is cut, from no bytes at all on", () => {
    for (const file of [gbsBytes(gbsJson, signedPayload()), xclbinBytes()]) {
      const plainGbs = file[0] === 0x58 ? 24 + gbsJson.length : file.length;
      for (let length = 0; length < plainGbs; length++) {
        expectFault(() => read(file.subarray(0, length)), "IMAGE_TRUNCATED");
      }
    }
  });

  test.each([
    ["an ELF (.aocx)", "7f454c4602010100"],
    ["a zip", "504b0304"],
    ["a raw .bit", "000f0ff00ff00ff00ff000000161"],
    ["an older xclbin", "78636c62696e3000"],
    ["zeros", "00".repeat(64)],
  ])("does not know %s", (_, hex) => {
    expectFault(() => read(Buffer.from(hex, "hex")), "IMAGE_FORMAT_UNKNOWN", "magic");
  });

  test("refuses a legacy GBS", () => {
    const file = Buffer.concat([u32(0x1d1f8680), Buffer.alloc(32)]);
    expectFault(() => read(file), "IMAGE_HEADER_INVALID", "magic");
    expectFault(() => read(file.subarray(0, 4)), "IMAGE_HEADER_INVALID", "magic");
  });

  test("refuses a bare signed file and says what it would have written", () => {
    for (const [type, words] of [
      [0x0000, "a static region update"],
      [0x0001, "board controller firmware update"],
      [0x0102, "a GBS key cancellation"],
      [0x0302, "a GBS root key hash"],
    ] as const) {
      const fault = expectFault(() => read(signedPayload({ type })), "IMAGE_HEADER_INVALID");
      expect(fault.message).toContain(words);
    }
    expectFault(() => read(signedPayload().subarray(0, 11)), "IMAGE_TRUNCATED");
  });

  test("refuses a file size that is none", () => {
    expectFault(() => readImageHeader(gbsBytes(), 3), "IMAGE_HEADER_INVALID", "fileSize");
  });

  test("of arbitrary bytes and any file size never throws anything but an image Fault", () => {
    const magic = fc.constantFrom(
      "",
      "58656f6e46504741b747425376303031",
      "78636c62696e3200",
      "19fdeab6",
    );
    fc.assert(
      fc.property(magic, fc.uint8Array({ maxLength: 600 }), fc.nat(), (prefix, bytes, more) => {
        const head = Buffer.concat([Buffer.from(prefix, "hex"), bytes]);
        const fault = faultOf(() => readImageHeader(head, head.length + more));
        expect(fault?.code).toMatch(/^IMAGE_(TRUNCATED|FORMAT_UNKNOWN|HEADER_INVALID)$/);
        expect(fault?.detail).toMatchObject({
          field: expect.any(String),
          expected: expect.any(String),
        });
      }),
      { numRuns: 400 },
    );
  });
});

describe("metadata beside an image", () => {
  const gbs = read(gbsBytes());
  const xclbin = read(xclbinBytes());

  test("that says nothing or the same is fine", () => {
    checkMetadata(gbs, {});
    checkMetadata(gbs, { vendor: "Intel", type: "crypto", format: "GBS", interfaceId, functionId });
    checkMetadata(gbs, { interfaceId: interfaceId.toUpperCase().replaceAll("-", "") });
    for (const vendor of ["xilinx", "AMD", "10ee", "0x10EE"]) checkMetadata(xclbin, { vendor });
    for (const vendor of ["intel", "Altera", "8086"]) checkMetadata(gbs, { vendor });
    checkMetadata(xclbin, { format: "xclbin", interfaceId, functionId: xclbinUuid });
    expect([vendorOf(gbs), vendorOf(xclbin)]).toEqual(["intel", "xilinx"]);
    expect([canonicalVendor("AMD"), canonicalVendor("acme")]).toEqual(["xilinx", undefined]);
  });

  test.each<[keyof ImageMetadata, ImageMetadata, string]>([
    ["vendor", { vendor: "xilinx" }, "intel"],
    ["vendor", { vendor: "acme" }, "intel"],
    ["vendor", { vendor: "" }, "intel"],
    ["format", { format: "xclbin" }, "gbs"],
    ["interfaceId", { interfaceId: functionId }, interfaceId],
    ["interfaceId", { interfaceId: "not a uuid" }, interfaceId],
    ["functionId", { functionId: interfaceId }, functionId],
    ["functionId", { functionId: `${functionId}0` }, functionId],
  ])("that contradicts a GBS is refused naming the %s (case %#)", (field, metadata, expected) => {
    const fault = expectFault(() => checkMetadata(gbs, metadata), "IMAGE_METADATA_MISMATCH", field);
    expect(fault.detail.expected).toBe(expected);
  });

  test("that contradicts an xclbin is refused", () => {
    for (const field of ["interfaceId", "functionId"] as const) {
      const metadata = { [field]: "11111111-2222-3333-4444-555555555555" };
      expectFault(() => checkMetadata(xclbin, metadata), "IMAGE_METADATA_MISMATCH", field);
    }
    expectFault(
      () => checkMetadata(xclbin, { vendor: "intel" }),
      "IMAGE_METADATA_MISMATCH",
      "vendor",
    );
  });

  test("may name a region for an xclbin that names only its platform", () => {
    const platformOnly = read(xclbinBytes({ region: "00".repeat(16) }));
    checkMetadata(platformOnly, { interfaceId });
  });
});
