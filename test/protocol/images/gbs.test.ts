import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeGbs } from "#protocol/images/encode-gbs";
import { gbsHeadBytes, parseGbs } from "#protocol/images/gbs";
import {
  expectFault,
  faultOf,
  functionId,
  gbsBytes,
  gbsJson,
  gbsMagicBytes,
  interfaceId,
  type SignedOptions,
  signedPayload,
  u32,
} from "./handmade.ts";

const parse = (file: Buffer) => parseGbs(file.subarray(0, gbsHeadBytes), file.length);
const refused = (file: Buffer, field?: string) =>
  expectFault(() => parse(file), "IMAGE_HEADER_INVALID", field);

/** The example's metadata after `edit` changed the parsed form. */
function edited(edit: (root: Record<string, unknown>, image: Record<string, unknown>) => void) {
  const root = JSON.parse(gbsJson);
  edit(root, root["afu-image"]);
  return gbsBytes(JSON.stringify(root));
}

describe("a plain GBS", () => {
  test("written by hand is read", () => {
    expect(parse(gbsBytes())).toEqual({
      format: "gbs",
      interfaceId,
      functionId,
      name: "nlb_400",
      power: 50,
      clockLow: "auto",
      clockHigh: 312.5,
      signedByVendor: false,
      payloadOffset: 20 + gbsJson.length,
      payloadLength: 8,
    });
  });

  test("may leave out what OPAE's newer packagers leave out", () => {
    const header = parse(
      edited((root, image) => {
        root["version"] = 1;
        delete root["platform-name"];
        for (const key of ["power", "clock-frequency-low", "clock-frequency-high"]) {
          delete image[key];
        }
        image["accelerator-clusters"] = [{ "accelerator-type-uuid": functionId }];
      }),
    );
    expect(Object.keys(header).sort()).toEqual(
      "format functionId interfaceId payloadLength payloadOffset signedByVendor".split(" "),
    );
  });

  test("is encoded to the very bytes of its layout", () => {
    const file = encodeGbs({ interfaceId, functionId, name: "nlb", payload: Buffer.from("abcd") });
    const json = `{"version":1,"platform-name":"","afu-image":{"magic-no":488605312,"interface-uuid":"${interfaceId}","power":0,"clock-frequency-low":0,"clock-frequency-high":0,"afu-top-interface":{"class":"ccip_std_afu"},"accelerator-clusters":[{"name":"nlb","total-contexts":1,"accelerator-type-uuid":"${functionId}"}]}}`;
    expect(file).toEqual(gbsBytes(json, Buffer.from("abcd")));
  });

  test("comes back from encode and parse as it went in", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 20 });
    fc.assert(
      fc.property(
        fc.uuid(),
        fc.uuid(),
        text.filter((name) => /^\P{C}*$/u.test(name)),
        fc.uint8Array({ minLength: 4, maxLength: 300 }),
        (region, accelerator, name, payload) => {
          const parts = { interfaceId: region, functionId: accelerator, name, payload };
          const file = encodeGbs({ ...parts, power: 7, clockLow: 100, clockHigh: "auto-200" });
          const header = parse(file);
          expect(header).toMatchObject({ interfaceId: region, functionId: accelerator, name });
          expect(header).toMatchObject({ power: 7, clockLow: 100, clockHigh: "auto-200" });
          expect(file.subarray(header.payloadOffset)).toEqual(Buffer.from(payload));
          expect(encodeGbs(parts)).toEqual(encodeGbs(parts));
        },
      ),
      { numRuns: 50 },
    );
  });

  test("cut anywhere before the fourth payload byte is truncated", () => {
    const file = gbsBytes();
    const enough = 20 + gbsJson.length + 4;
    for (let length = 4; length < enough; length++) {
      expectFault(() => parse(file.subarray(0, length)), "IMAGE_TRUNCATED");
    }
    expect(parse(file.subarray(0, enough)).payloadLength).toBe(4);
  });

  test("is refused when the caller holds less than the header of a whole file", () => {
    const file = gbsBytes();
    for (const held of [19, 20, 100, 20 + gbsJson.length, 23 + gbsJson.length]) {
      expectFault(() => parseGbs(file.subarray(0, held), file.length), "IMAGE_TRUNCATED");
    }
  });

  test("is refused when the stated file size is no size of these bytes", () => {
    for (const size of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60, 10]) {
      expectFault(() => parseGbs(gbsBytes(), size), "IMAGE_HEADER_INVALID", "fileSize");
    }
  });
});

describe("the magic and the length of a GBS", () => {
  test("a wrong byte in the magic is refused", () => {
    for (let index = 0; index < 16; index++) {
      const file = gbsBytes();
      file[index] = (file[index] ?? 0) ^ 0x01;
      refused(file, "magic");
    }
  });

  test("a legacy image is refused and says so", () => {
    const fault = refused(Buffer.concat([u32(0x1d1f8680), Buffer.alloc(64)]), "magic");
    expect(fault.message).toContain("legacy");
  });

  test("length fields outside 1 to 4095 are refused", () => {
    for (const length of [0, 4096, 8191, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      refused(gbsBytes(gbsJson, Buffer.alloc(9000), length), "metadata length");
    }
  });

  test("the length 1 is a length, but one byte is no metadata", () => {
    refused(gbsBytes(" ", Buffer.alloc(8)), "metadata");
    refused(gbsBytes("1", Buffer.alloc(8)), "metadata");
  });

  test("the length 4095 is taken", () => {
    const file = gbsBytes(gbsJson.padEnd(4095, " "));
    expect(parse(file)).toMatchObject({ payloadOffset: 4115, payloadLength: 8 });
  });

  test("a length past the end of the file is a truncated file", () => {
    expectFault(
      () => parse(gbsBytes(gbsJson, Buffer.alloc(8), 4095)),
      "IMAGE_TRUNCATED",
      "metadata",
    );
  });
});

describe("the metadata of a GBS", () => {
  test.each([
    ["no JSON", "{"],
    ["text after the JSON", `${gbsJson}x`],
    ["a NUL at the end", `${gbsJson}\0`],
    ["a byte order mark", `\ufeff${gbsJson}`],
    ["a list", "[]"],
    ["null", "null"],
    ["a duplicate key", gbsJson.replace('"power": 50', '"power": 50, "power": 51')],
    ["a duplicate key in disguise", gbsJson.replace('"power"', '"po\\u0077er": 1, "power"')],
    ["deep nesting", gbsJson.replace("50", `${"[".repeat(8)}${"]".repeat(8)}`)],
    ["very deep nesting", `${"[".repeat(2000)}${"]".repeat(2000)}`],
  ])("with %s is refused", (_, json) => {
    refused(gbsBytes(json), "metadata");
  });

  test("in another encoding than UTF-8 is refused", () => {
    refused(gbsBytes(Buffer.from(gbsJson.replace("DCP", "D\xe9P"), "latin1")), "metadata");
  });

  test.each<[string, (root: Record<string, unknown>, image: Record<string, unknown>) => void]>([
    ["metadata.version", (root) => void (root["version"] = 2)],
    ["metadata.version", (root) => void (root["version"] = "1")],
    ["metadata.version", (root) => void delete root["version"]],
    ["metadata.platform-name", (root) => void (root["platform-name"] = 5)],
    ["metadata.afu-image", (root) => void delete root["afu-image"]],
    ["metadata.afu-image", (root) => void (root["afu-image"] = [])],
    ["metadata.afu-image.magic-no", (_, image) => void (image["magic-no"] = 488605313)],
    ["metadata.afu-image.magic-no", (_, image) => void (image["magic-no"] = "488605312")],
    ["metadata.afu-image.magic-no", (_, image) => void delete image["magic-no"]],
    ["metadata.afu-image.interface-uuid", (_, image) => void delete image["interface-uuid"]],
    ["metadata.afu-image.interface-uuid", (_, image) => void (image["interface-uuid"] = "")],
    [
      "metadata.afu-image.interface-uuid",
      (_, image) => void (image["interface-uuid"] = interfaceId.replaceAll("-", "")),
    ],
    [
      "metadata.afu-image.interface-uuid",
      (_, image) => void (image["interface-uuid"] = "00000000-0000-0000-0000-000000000000"),
    ],
    [
      "metadata.afu-image.interface-uuid",
      (_, image) => void (image["interface-uuid"] = ` ${interfaceId}`),
    ],
    ["metadata.afu-image.power", (_, image) => void (image["power"] = -1)],
    ["metadata.afu-image.power", (_, image) => void (image["power"] = "50")],
    [
      "metadata.afu-image.clock-frequency-low",
      (_, image) => void (image["clock-frequency-low"] = "fast"),
    ],
    [
      "metadata.afu-image.accelerator-clusters",
      (_, image) => void delete image["accelerator-clusters"],
    ],
    [
      "metadata.afu-image.accelerator-clusters",
      (_, image) => void (image["accelerator-clusters"] = []),
    ],
    [
      "metadata.afu-image.accelerator-clusters",
      (_, image) =>
        void (image["accelerator-clusters"] = [
          { "accelerator-type-uuid": functionId },
          { "accelerator-type-uuid": functionId },
        ]),
    ],
    [
      "metadata.afu-image.accelerator-clusters.0.accelerator-type-uuid",
      (_, image) => void (image["accelerator-clusters"] = [{ name: "x" }]),
    ],
    [
      "metadata.afu-image.accelerator-clusters.0.name",
      (_, image) =>
        void (image["accelerator-clusters"] = [
          { name: "\u001b[2J", "accelerator-type-uuid": functionId },
        ]),
    ],
  ])("is refused naming %s (case %#)", (field, edit) => {
    const fault = refused(edited(edit), undefined);
    expect(fault.detail.field?.startsWith(field)).toBe(true);
    expect(fault.detail.expected).not.toMatch(/^Invalid/);
  });

  test("may have members nobody here knows, even __proto__", () => {
    const json = gbsJson.replace("{", '{"signature": {"root_key": null}, "__proto__": {"a": 1}, ');
    expect(parse(gbsBytes(json))).toMatchObject({ interfaceId, functionId });
  });
});

describe("a GBS in a PACSign envelope", () => {
  const signed = (options?: SignedOptions) => gbsBytes(gbsJson, signedPayload(options));

  test("written by hand is read, and the envelope belongs to the payload", () => {
    expect(parse(signed())).toMatchObject({
      signedByVendor: true,
      payloadOffset: 20 + gbsJson.length,
      payloadLength: 1024 + 256,
    });
  });

  test("with an empty key chain does not count as signed", () => {
    expect(parse(signed({ rootKey: false })).signedByVendor).toBe(false);
  });

  test.each([
    [0x0000, "a static region update"],
    [0x0001, "board controller firmware update"],
    [0x0003, "content of type 3 update"],
    [0x00ff, "content of type 255 update"],
    [0x0102, "a GBS key cancellation"],
    [0x0202, "a GBS root key hash"],
    [0x0302, "a GBS root key hash"],
    [0x0402, "a GBS of kind 4"],
    [0x0100, "a static region key cancellation"],
  ])("of content type %i is refused in words", (type, words) => {
    const fault = refused(signed({ type }), "Block0 content type");
    expect(fault.message).toContain(words);
  });

  test("must announce the content that is there", () => {
    for (const announced of [0, 128, 255]) {
      refused(signed({ announced }), "Block0 content length");
    }
    for (const announced of [257, 384, 0x8000_0000, 0xffff_ffff]) {
      expectFault(() => parse(signed({ announced })), "IMAGE_TRUNCATED", "signed content");
    }
    refused(signed({ length: 200 }), "Block0 content length");
    expectFault(() => parse(signed({ length: 0 })), "IMAGE_TRUNCATED", "Block1");
  });

  test("needs Block1", () => {
    refused(signed({ block1: 0 }), "Block1 magic");
  });

  test("cut anywhere inside the envelope or the content is truncated", () => {
    const file = signed();
    for (let length = 24 + gbsJson.length; length < file.length; length++) {
      expectFault(() => parse(file.subarray(0, length)), "IMAGE_TRUNCATED");
    }
  });

  test("fits into the head even with the longest metadata", () => {
    const file = gbsBytes(gbsJson.padEnd(4095, " "), signedPayload());
    expect(parse(file).signedByVendor).toBe(true);
    expectFault(() => parseGbs(file.subarray(0, gbsHeadBytes - 1), file.length), "IMAGE_TRUNCATED");
  });

  test("is encoded as PACSign lays it out", () => {
    const payload = Buffer.from("abcde");
    const file = encodeGbs({ interfaceId, functionId, name: "n", payload, pacsign: true });
    const { payloadOffset, payloadLength, signedByVendor } = parse(file);
    expect(signedByVendor).toBe(true);
    expect(payloadLength).toBe(1024 + 128);
    const blocks = file.subarray(payloadOffset);
    const content = Buffer.concat([payload, Buffer.alloc(123)]);
    expect(blocks.toString("hex", 0, 16)).toBe("19fdeab6800000000200000000000000");
    expect(blocks.subarray(16, 48)).toEqual(createHash("sha256").update(content).digest());
    expect(blocks.subarray(48, 96)).toEqual(createHash("sha384").update(content).digest());
    const magics = [128, 144, 276, 508].map((at) => blocks.toString("hex", at, at + 4));
    expect(magics).toEqual(["d7287ff2", "46a057a7", "2f1c7114", "67433615"]);
    expect(blocks.subarray(612, 1024).every((byte) => byte === 0)).toBe(true);
    expect(blocks.subarray(1024)).toEqual(content);
  });
});

describe("the encoder refuses", () => {
  const cluster = "metadata.afu-image.accelerator-clusters.0";
  const parts = { interfaceId, functionId, name: "n", payload: Buffer.alloc(4) };
  test.each([
    ["a payload below 4 bytes", { payload: Buffer.alloc(3) }, "payload"],
    ["an interface id without dashes", { interfaceId: "abc" }, "interfaceId"],
    ["a function id that is no uuid", { functionId: "" }, "functionId"],
    ["a long name", { name: "x".repeat(129) }, `${cluster}.name`],
    ["a name with control characters", { name: "a\nb" }, `${cluster}.name`],
    ["a negative power", { power: -1 }, "metadata.afu-image.power"],
  ])("%s", (_, change, field) => {
    expectFault(() => encodeGbs({ ...parts, ...change }), "INVALID_REQUEST", field);
  });
});

describe("hostile bytes", () => {
  test("never throw anything but a Fault", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, asGbs) => {
        const file = asGbs ? Buffer.concat([gbsMagicBytes, bytes]) : Buffer.from(bytes);
        faultOf(() => parse(file));
      }),
      { numRuns: 300 },
    );
  });

  test("in the place of metadata never throw anything but a Fault", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), (json) => {
        expect(faultOf(() => parse(gbsBytes(json)))?.code).toMatch(/^IMAGE_/);
      }),
      { numRuns: 200 },
    );
  });

  test("mutated into a good image give a Fault or facts that hold", () => {
    const file = gbsBytes(gbsJson, signedPayload());
    const mutation = fc.record({
      at: fc.nat(file.length - 1),
      byte: fc.integer({ max: 255, min: 0 }),
    });
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
        const mutant = Buffer.from(file);
        for (const { at, byte } of mutations) mutant[at] = byte;
        const fault = faultOf(() => {
          const header = parse(mutant);
          expect(header.payloadOffset + header.payloadLength).toBe(mutant.length);
          expect(header.interfaceId).toMatch(/^[0-9a-f-]{36}$/);
        });
        if (fault) expect(fault.code).toMatch(/^IMAGE_(TRUNCATED|HEADER_INVALID)$/);
      }),
      { numRuns: 500 },
    );
  });
});
