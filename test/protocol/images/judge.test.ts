import { Buffer } from "node:buffer";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { afiFunctionId, isAgfi } from "#protocol/images/afi";
import { headBytesNeeded } from "#protocol/images/header";
import { judgeImage, type SaidOfImage } from "#protocol/images/judge";
import type { ManifestStatement } from "#protocol/images/manifest";
import { checkMetadata, vendorOf } from "#protocol/images/metadata";
import {
  expectFault,
  faultOf,
  functionId,
  gbsBytes,
  interfaceId,
  signedPayload,
  xclbinBytes,
} from "./handmade.ts";

const agfi = "agfi-0123456789abcdef0";
const other = "agfi-0123456789abcdef1";
const raw = Buffer.from("000f0ff00ff00ff00ff000000161", "hex");

const judge = (file: Buffer, said: SaidOfImage = {}) =>
  judgeImage({ head: file.subarray(0, headBytesNeeded), size: file.length }, said);

function statementOf(changes: Partial<ManifestStatement> = {}): ManifestStatement {
  const facts = { sha256: "0".repeat(64), size: raw.length, vendor: "xilinx", type: "crypto" };
  return { ...facts, format: "raw", interfaceId, functionId, ...changes };
}

describe("an AFI", () => {
  test("is its id, with or without a line feed, and a shell that is said", () => {
    for (const text of [agfi, `${agfi}\n`]) {
      expect(judge(Buffer.from(text), { interfaceId })).toEqual({
        format: "afi",
        agfi,
        functionId: afiFunctionId(agfi),
        interfaceId,
      });
    }
  });

  test("has one function id for ever, and another AFI has another", () => {
    expect(afiFunctionId(agfi)).toBe(afiFunctionId(agfi));
    expect(afiFunctionId(agfi)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab]/);
    expect(afiFunctionId(agfi)).not.toBe(afiFunctionId(other));
    expectFault(() => afiFunctionId("agfi-1"), "IMAGE_HEADER_INVALID", "AFI id");
    expect([isAgfi(agfi), isAgfi(`${agfi}\n`), isAgfi("afi-0123456789abcdef0")]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test("takes its shell from the statement when no metadata names it", () => {
    const statement = statementOf({ format: "afi" });
    expect(judge(Buffer.from(agfi), { statement })).toMatchObject({ format: "afi", interfaceId });
    const loose = interfaceId.toUpperCase().replaceAll("-", "");
    expect(judge(Buffer.from(agfi), { interfaceId: loose })).toMatchObject({ interfaceId });
  });

  test("without a shell, or with one that is no uuid, is refused naming the field", () => {
    for (const said of [{}, { interfaceId: "f2" }]) {
      expectFault(() => judge(Buffer.from(agfi), said), "IMAGE_METADATA_MISMATCH", "interfaceId");
    }
  });

  test("by its regional id is refused with the reason", () => {
    const fault = expectFault(
      () => judge(Buffer.from("afi-0123456789abcdef0"), { interfaceId }),
      "IMAGE_HEADER_INVALID",
      "AFI id",
    );
    expect(fault.message).toContain("one region only");
  });

  test.each([
    ["too short", agfi.slice(0, -1), "AFI id"],
    ["too long", `${agfi}00`, "size"],
    ["one digit too long", `${agfi}0`, "AFI id"],
    ["in upper case", agfi.toUpperCase().replace("AGFI", "agfi"), "AFI id"],
    ["ended by two line feeds", `${agfi}\n\n`, "size"],
    ["ended by a carriage return", `${agfi}\r`, "AFI id"],
    ["followed by a second one", `${agfi}\n${other}\n`, "size"],
  ])("%s is refused", (_, text, field) => {
    expectFault(() => judge(Buffer.from(text), { interfaceId }), "IMAGE_HEADER_INVALID", field);
  });

  test("whose vendor or format is said to be another is refused", () => {
    const header = judge(Buffer.from(agfi), { interfaceId });
    checkMetadata(header, { vendor: "amd", format: "AFI", functionId: afiFunctionId(agfi) });
    for (const [field, value] of [
      ["vendor", "intel"],
      ["format", "gbs"],
      ["functionId", afiFunctionId(other)],
    ] as const) {
      expectFault(
        () => checkMetadata(header, { [field]: value }),
        "IMAGE_METADATA_MISMATCH",
        field,
      );
    }
  });
});

describe("a raw image", () => {
  test("has the ids of its statement, whoever asks for raw", () => {
    const header = { format: "raw", interfaceId, functionId };
    const statement = statementOf();
    expect(judge(raw, { statement })).toEqual(header);
    expect(judge(raw, { format: "RAW", statement })).toEqual(header);
    expect(vendorOf(judge(raw, { statement }))).toBeUndefined();
    checkMetadata(judge(raw, { statement }), { vendor: "lattice", format: "raw" });
  });

  test("takes no id from tags", () => {
    const fault = expectFault(
      () => judge(raw, { format: "raw", interfaceId }),
      "SIGNATURE_REQUIRED",
      "manifest",
    );
    expect(fault.message).toContain("no header");
  });

  test("that is not called raw is of no known format, and the refusal names the way", () => {
    const fault = expectFault(() => judge(raw), "IMAGE_FORMAT_UNKNOWN", "magic");
    expect(fault.message).toMatch(/format=raw.*manifest/);
    const said = { format: "gbs", statement: statementOf() };
    expectFault(() => judge(raw, said), "IMAGE_FORMAT_UNKNOWN", "magic");
  });

  test("needs a statement with a region, and bytes", () => {
    const { interfaceId: _, ...statement } = statementOf();
    expectFault(() => judge(raw, { statement }), "IMAGE_METADATA_MISMATCH", "interfaceId");
    expectFault(() => judge(Buffer.alloc(0), { statement: statementOf() }), "IMAGE_TRUNCATED");
  });

  test("may not be one of the formats that prove more", () => {
    const statement = statementOf();
    for (const file of [gbsBytes(), xclbinBytes(), Buffer.from(agfi)]) {
      expectFault(() => judge(file, { statement }), "IMAGE_METADATA_MISMATCH", "format");
    }
    expectFault(() => judge(signedPayload(), { statement }), "IMAGE_HEADER_INVALID", "format");
  });
});

test("any bytes and any words give a header or an image Fault", () => {
  const prefix = fc.constantFrom("", "agfi-", "afi-", agfi, "XeonFPGA", "xclbin2\0");
  const word = fc.option(fc.oneof(fc.string(), fc.constantFrom("raw", interfaceId)), {
    nil: undefined,
  });
  const statement = fc.constantFrom(undefined, statementOf());
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(
      prefix,
      bytes,
      fc.nat(3),
      fc.tuple(word, word, statement),
      (start, rest, more, said) => {
        const head = Buffer.concat([Buffer.from(start), rest]);
        const [format, region, vouched] = said;
        const file = { head, size: head.length + more };
        const run = () => judgeImage(file, { format, interfaceId: region, statement: vouched });
        const fault = faultOf(() => expect(["afi", "raw"]).toContain(run().format));
        if (fault === undefined) return;
        expect(fault.code).toMatch(
          /^IMAGE_(TRUNCATED|FORMAT_|HEADER_|METADATA_)|^SIGNATURE_REQUIRED$/,
        );
        expect(fault.detail).toMatchObject({ field: expect.any(String) });
      },
    ),
    { numRuns: 500 },
  );
});
