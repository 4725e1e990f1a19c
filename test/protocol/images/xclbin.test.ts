import { Buffer } from "node:buffer";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeXclbin } from "#protocol/images/encode-xclbin";
import { parseXclbin } from "#protocol/images/xclbin";
import { maxXclbinSections, xclbinHeadBytes } from "#protocol/images/xclbin-layout";
import {
  expectFault,
  faultOf,
  type HandmadeSection,
  interfaceId,
  vbnv,
  xclbinBytes,
  xclbinUuid,
} from "./handmade.ts";

const parse = (file: Buffer) => parseXclbin(file.subarray(0, xclbinHeadBytes), file.length);
const refused = (file: Buffer, field: string) =>
  expectFault(() => parse(file), "IMAGE_HEADER_INVALID", field);
const nil = "00000000-0000-0000-0000-000000000000";

describe("an xclbin", () => {
  test("written by hand is read", () => {
    expect(parse(xclbinBytes())).toEqual({
      format: "xclbin",
      interfaceId,
      functionId: xclbinUuid,
      vbnv,
      mode: "pr",
      sections: [
        { kind: 0, name: "bitstream", offset: 536, size: 64 },
        { kind: 8, name: "ip_layout", offset: 600, size: 40 },
      ],
      signedByVendor: false,
    });
  });

  test("is encoded to the very bytes of its layout", () => {
    const file = encodeXclbin({
      uuid: xclbinUuid,
      interfaceId,
      vbnv,
      timestamp: 0,
      sections: [
        { kind: 0, name: "bitstream", data: Buffer.alloc(64, 0x11) },
        { kind: 8, name: "ip_layout", data: Buffer.alloc(40, 0x11) },
      ],
    });
    const expected = xclbinBytes();
    expected.set([2, 1], 330);
    expect(file).toEqual(expected);
  });

  test("carries its time of making where XRT looks for it", () => {
    const sections = [{ kind: 0, name: "", data: Buffer.alloc(1) }];
    const file = encodeXclbin({ uuid: xclbinUuid, vbnv, timestamp: 1_700_000_000, sections });
    expect(file.readBigUInt64LE(312)).toBe(1_700_000_000n);
  });

  test("comes back from encode and parse as it went in", () => {
    const section = fc.record({
      kind: fc.constantFrom(0, 8, 14, 18, 20, 99),
      name: fc.stringMatching(/^[a-z0-9_]{0,15}$/),
      data: fc.uint8Array({ maxLength: 50 }),
    });
    fc.assert(
      fc.property(
        fc.uuid(),
        fc.option(fc.uuid(), { nil: undefined }),
        fc.array(section, { minLength: 1, maxLength: 12 }),
        (uuid, region, sections) => {
          const ids = region === undefined ? { uuid } : { uuid, interfaceId: region };
          const parts = { ...ids, vbnv, timestamp: 5, sections, mode: "flat" as const };
          const file = encodeXclbin(parts);
          const header = parse(file);
          expect(header).toMatchObject({ functionId: uuid, vbnv, mode: "flat" });
          expect(header.interfaceId).toBe(region);
          expect(
            header.sections.map(({ kind, name, offset, size }) => ({
              kind,
              name,
              data: new Uint8Array(file.subarray(offset, offset + size)),
            })),
          ).toEqual(sections);
          expect(header.sections.every(({ offset }) => offset % 8 === 0)).toBe(true);
          expect(encodeXclbin(parts)).toEqual(file);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("may have the largest section table and the largest kind", () => {
    const section = { kind: 0xffff_ffff, name: "n".repeat(15), data: Buffer.alloc(1) };
    const sections = Array.from({ length: maxXclbinSections }, () => section);
    const file = encodeXclbin({ uuid: xclbinUuid, vbnv, timestamp: 5, sections });
    expect(parse(file).sections.at(-1)).toMatchObject({ kind: 0xffff_ffff, size: 1 });
  });

  test("cut at any length is truncated", () => {
    const file = xclbinBytes();
    for (let length = 0; length < file.length; length++) {
      expectFault(() => parse(file.subarray(0, length)), "IMAGE_TRUNCATED");
    }
  });

  test("is refused when the caller holds less than the section table of a whole file", () => {
    const file = xclbinBytes();
    for (const held of [7, 455, 456, 535]) {
      expectFault(() => parseXclbin(file.subarray(0, held), file.length), "IMAGE_TRUNCATED");
    }
    expect(parseXclbin(file.subarray(0, 536), file.length).sections).toHaveLength(2);
  });

  test("is refused when the stated file size is no size of these bytes", () => {
    for (const size of [-1, 639, 640.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expectFault(() => parseXclbin(xclbinBytes(), size), "IMAGE_HEADER_INVALID", "fileSize");
    }
  });
});

describe("the fixed header", () => {
  test("with another magic is refused", () => {
    for (const magic of ["xclbin0\0", "xclbin1\0", "xclbin22", "XCLBIN2\0"]) {
      refused(xclbinBytes({ magic }), "magic");
    }
  });

  test("must state the size of the file", () => {
    refused(xclbinBytes({ length: 639n }), "length");
    refused(xclbinBytes({ length: 0n }), "length");
    for (const length of [641n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      expectFault(() => parse(xclbinBytes({ length })), "IMAGE_TRUNCATED", "sections");
    }
  });

  test("knows the hardware modes only", () => {
    const names = [0, 1, 2, 3].map((mode) => parse(xclbinBytes({ mode })).mode);
    expect(names).toEqual(["flat", "pr", "tandem-stage2", "tandem-stage2-pr"]);
    for (const mode of [4, 5, 6, 7, 0xffff]) refused(xclbinBytes({ mode }), "mode");
  });

  test("needs a uuid of its own", () => {
    refused(xclbinBytes({ uuid: nil }), "uuid");
  });

  test("needs a VBNV that ends and can be printed", () => {
    refused(xclbinBytes({ platform: Buffer.alloc(64, 0x41) }), "VBNV");
    for (const text of ["a b\0", "a\x1b[2J\0", "caf\xe9\0", "a\n\0"]) {
      refused(xclbinBytes({ platform: Buffer.from(text, "latin1") }), "VBNV");
    }
    expect(parse(xclbinBytes({ platform: Buffer.from(`${"A".repeat(63)}\0`) })).vbnv).toHaveLength(
      63,
    );
  });

  test("names its platform by VBNV or by interface uuid", () => {
    const none = Buffer.from("\0");
    expect(parse(xclbinBytes({ region: nil }))).not.toHaveProperty("interfaceId");
    expect(parse(xclbinBytes({ platform: none }))).toMatchObject({ vbnv: "", interfaceId });
    refused(xclbinBytes({ platform: none, region: nil }), "platform");
  });
});

describe("an appended signature", () => {
  const sections = [{ kind: 0, name: "bitstream", offset: 496n, size: 80n }];

  test("may be counted in the length, as xclbinutil does, or not", () => {
    for (const length of [640n, 576n]) {
      expect(parse(xclbinBytes({ signature: 64, length, sections })).signedByVendor).toBe(true);
    }
    refused(xclbinBytes({ signature: 64, length: 600n, sections }), "length");
  });

  test("of length 0 is none", () => {
    expect(parse(xclbinBytes({ signature: 0 })).signedByVendor).toBe(false);
  });

  test("of negative length is refused", () => {
    refused(xclbinBytes({ signature: 0xffff_fffe }), "signature length");
    refused(xclbinBytes({ signature: 0x8000_0000 }), "signature length");
  });

  test("longer than the file is truncated", () => {
    for (const signature of [185, 641, 0x7fff_ffff]) {
      expectFault(
        () => parse(xclbinBytes({ signature, sections })),
        "IMAGE_TRUNCATED",
        "signature",
      );
    }
  });

  test("is no place for a section", () => {
    refused(xclbinBytes({ signature: 65, sections }), "sections.0");
  });
});

describe("the section table", () => {
  const one = (section: Partial<HandmadeSection>) =>
    xclbinBytes({ sections: [{ kind: 0, offset: 496n, size: 8n, ...section }] });

  test("has from 1 to 512 sections", () => {
    for (const count of [0, 513, 0x1_0000, 0x7fff_ffff, 0xffff_ffff]) {
      refused(xclbinBytes({ count }), "section count");
    }
  });

  test("past the end of the file is truncated", () => {
    for (const count of [5, 512]) {
      expectFault(() => parse(xclbinBytes({ count })), "IMAGE_TRUNCATED", "section table");
    }
  });

  test("of the largest size fits exactly into the head", () => {
    const sections = Array.from({ length: maxXclbinSections }, (_, index) => ({
      kind: 0,
      offset: BigInt(xclbinHeadBytes + index),
      size: 1n,
    }));
    const file = xclbinBytes({ sections, fileSize: xclbinHeadBytes + maxXclbinSections });
    expect(parse(file).sections).toHaveLength(512);
  });

  test("places every section between the table and the end of the file", () => {
    expect(parse(one({ offset: 496n, size: 144n })).sections[0]?.size).toBe(144);
    expect(parse(one({ offset: 640n, size: 0n })).sections[0]?.offset).toBe(640);
    for (const [offset, size] of [
      [495n, 8n],
      [0n, 8n],
      [0n, 640n],
      [496n, 145n],
      [640n, 1n],
      [641n, 0n],
      [8n, 0n],
      [2n ** 63n, 2n ** 63n],
      [496n, 2n ** 64n - 1n],
      [2n ** 64n - 1n, 1n],
      [2n ** 64n - 496n, 496n],
    ] as const) {
      refused(one({ offset, size }), "sections.0");
    }
  });

  test("may list a section that is absent", () => {
    expect(parse(one({ offset: 0n, size: 0n })).sections[0]).toMatchObject({ offset: 0, size: 0 });
  });

  test("gives no two sections the same byte", () => {
    const two = (offset: bigint) =>
      xclbinBytes({
        sections: [
          { kind: 0, offset: 600n, size: 40n },
          { kind: 8, offset, size: 10n },
        ],
      });
    expect(parse(two(590n)).sections).toHaveLength(2);
    const empty = { kind: 8, offset: 610n, size: 0n };
    const around = { kind: 0, offset: 600n, size: 40n };
    expect(parse(xclbinBytes({ sections: [around, empty] })).sections).toHaveLength(2);
    refused(two(591n), "sections.0");
    refused(two(600n), "sections.1");
    refused(two(625n), "sections.1");
  });

  test("holds nothing that is written to flash", () => {
    for (const kind of [12, 13, 24]) refused(one({ kind }), "sections.0");
  });

  test("has names that can be printed, of up to 16 bytes", () => {
    expect(parse(one({ name: "a".repeat(16) })).sections[0]?.name).toBe("a".repeat(16));
    refused(one({ name: "a\x07" }), "sections.0.name");
  });
});

describe("the encoder refuses", () => {
  const section = { kind: 0, name: "n", data: Buffer.alloc(4) };
  const parts = { uuid: xclbinUuid, interfaceId, vbnv, timestamp: 1, sections: [section] };
  test.each([
    ["a uuid that is none", { uuid: "x" }, "uuid"],
    ["an interface id that is none", { interfaceId: "x" }, "interfaceId"],
    ["an empty VBNV", { vbnv: "" }, "vbnv"],
    ["a VBNV without room for its NUL", { vbnv: "v".repeat(64) }, "vbnv"],
    ["a time before 1970", { timestamp: -1 }, "timestamp"],
    ["a broken time", { timestamp: 1.5 }, "timestamp"],
    ["no sections", { sections: [] }, "sections"],
    ["too many sections", { sections: Array.from({ length: 513 }, () => section) }, "sections"],
    ["a kind above u32", { sections: [{ ...section, kind: 2 ** 32 }] }, "sections.0.kind"],
    ["a long name", { sections: [{ ...section, name: "n".repeat(16) }] }, "sections.0.name"],
  ])("%s", (_, change, field) => {
    expectFault(() => encodeXclbin({ ...parts, ...change }), "INVALID_REQUEST", field);
  });
});

describe("hostile bytes", () => {
  test("after the magic never throw anything but a Fault", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 900 }), (bytes) => {
        const file = Buffer.concat([Buffer.from("xclbin2\0"), bytes]);
        expect(faultOf(() => parse(file))?.code).toMatch(/^IMAGE_/);
      }),
      { numRuns: 300 },
    );
  });

  test("mutated into a good image give a Fault or sections inside the file", () => {
    const file = xclbinBytes();
    const at = fc.oneof(fc.nat(639), fc.integer({ min: 448, max: 535 }), fc.constantFrom(8, 304));
    const mutation = fc.record({ at, byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 127, 255)) });
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
        const mutant = Buffer.from(file);
        for (const { at, byte } of mutations) mutant[at] = byte;
        const fault = faultOf(() => {
          const { sections } = parse(mutant);
          expect(sections.every(({ offset, size }) => offset + size <= 640)).toBe(true);
          expect(sections.every(({ offset, size }) => size === 0 || offset >= 496)).toBe(true);
        });
        if (fault) expect(fault.code).toMatch(/^IMAGE_(TRUNCATED|HEADER_INVALID)$/);
      }),
      { numRuns: 500 },
    );
  });
});
