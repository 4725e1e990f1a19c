import { Buffer } from "node:buffer";
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SignedManifest } from "#domain/image";
import { canonicalJson } from "#protocol/images/canonical-json";
import {
  checkManifest,
  type Manifest,
  type ManifestStatement,
  manifestBytes,
  maxManifestChars,
  parseManifest,
  signManifest,
  verifyManifest,
} from "#protocol/images/manifest";
import { keyIdOf, parsePublicKey } from "#protocol/images/signing-key";
import { expectFault, faultOf, functionId, interfaceId } from "./handmade.ts";

const statement: ManifestStatement = {
  sha256: "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d",
  size: 1234,
  vendor: "intel",
  type: "crypto",
  format: "gbs",
  interfaceId,
  functionId,
  notAfter: "2030-01-31T00:00:00Z",
};

// Made with Python's json module and the openssl command, not with the code under test.
const known = {
  canonical:
    '{"format":"gbs","functionId":"d8424dc4-a4a3-c413-f89e-433683f9040b","interfaceId":"69528db6-eb31-577a-8c36-68f9faa081f6","notAfter":"2030-01-31T00:00:00Z","sha256":"6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d","size":1234,"type":"crypto","vendor":"intel"}',
  keyId: "ed25519:17ec276bbd511ab20d86ccac38d6d946",
  signature:
    "rwToUoqlh7Sq7PD3OmulfqEzTpIR3TnQV7KgyeYRR5agc1HZuDfqwl4JyaqnEUWyW9ca4s+X8smeM0omEe3WCA==",
  pem: "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAaJku5Pylmct9+X0VBcVPtseMtEVSeRgkBulaGZxo2Z8=\n-----END PUBLIC KEY-----\n",
};
const knownManifest: Manifest = {
  statement,
  keyId: known.keyId,
  signature: known.signature,
};
const { notAfter: _, ...facts } = statement;
const before = new Date("2029-12-31T00:00:00Z");

const pair = generateKeyPairSync("ed25519");
const keyId = keyIdOf(pair.publicKey);
const spki = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString();
const verifyKnown = (change: Partial<typeof facts>) =>
  verifyManifest(knownManifest, known.pem, { ...facts, ...change }, before);

describe("canonical JSON", () => {
  test("of a statement is what another writer makes of it", () => {
    expect(manifestBytes(statement).toString()).toBe(known.canonical);
  });

  test("does not depend on the order of members and leaves out what is undefined", () => {
    expect(canonicalJson({ b: 1, a: "x", c: undefined })).toBe('{"a":"x","b":1}');
    expect(canonicalJson({})).toBe("{}");
  });

  test("sorts by UTF-16 code units and escapes as RFC 8785 says", () => {
    // The order of RFC 8785 §3.2.3.
    const names = {
      "\u20ac": 1,
      "\r": 2,
      "\ufb33": 3,
      "1": 4,
      "\ud83d\ude00": 5,
      "\u0080": 6,
      ö: 7,
    };
    expect(canonicalJson(names)).toBe('{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}');
    expect(canonicalJson({ a: "€$\u000f\nA'B\"\\/" })).toBe('{"a":"€$\\u000f\\nA\'B\\"\\\\/"}');
  });

  test("has no text for fractions, unsafe numbers, lone surrogates and other types", () => {
    const values = [0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, -0, true, null, {}, [], 1n];
    for (const value of [...values, "\ud800"]) {
      expect(() => canonicalJson({ value })).toThrow(TypeError);
    }
  });

  test("is read back as the same object", () => {
    const value = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.maxSafeInteger().filter((number) => !Object.is(number, -0)),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "grapheme" }), value), (object) => {
        expect(JSON.parse(canonicalJson(object))).toEqual({ ...object });
      }),
      { numRuns: 100 },
    );
  });
});

describe("a signing key", () => {
  test("is named by the digest of its raw bytes", () => {
    expect(keyIdOf(parsePublicKey(known.pem))).toBe(known.keyId);
  });

  test("survives Windows line ends", () => {
    expect(keyIdOf(parsePublicKey(known.pem.replaceAll("\n", "\r\n")))).toBe(known.keyId);
  });

  test("of another kind, or private, or broken, is refused", () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const curve = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const x25519 = generateKeyPairSync("x25519");
    const secret = pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const good = spki(pair.publicKey);
    for (const pem of [
      "",
      "hello",
      secret,
      spki(rsa.publicKey),
      spki(curve.publicKey),
      spki(x25519.publicKey),
      good + good,
      `x${good}`,
      good.replace("MCow", "MCox"),
      secret.replaceAll("PRIVATE", "PUBLIC"),
      good.replace("PUBLIC KEY-----\n", `PUBLIC KEY-----\n${"A".repeat(4000)}\n`),
    ]) {
      expectFault(() => parsePublicKey(pem), "INVALID_REQUEST", "publicKey");
    }
    expectFault(() => keyIdOf(pair.privateKey), "INVALID_REQUEST", "publicKey");
    expectFault(() => keyIdOf(rsa.publicKey), "INVALID_REQUEST", "publicKey");
  });
});

describe("reading a manifest", () => {
  const text = (change: (manifest: Record<string, Record<string, unknown>>) => void) => {
    const copy = JSON.parse(JSON.stringify(knownManifest));
    change(copy);
    return JSON.stringify(copy);
  };

  test("gives what was written", () => {
    expect(parseManifest(JSON.stringify(knownManifest, null, 2))).toEqual(knownManifest);
    const longest = JSON.stringify(knownManifest).padEnd(maxManifestChars, " ");
    expect(parseManifest(longest)).toEqual(knownManifest);
    const { interfaceId: _region, notAfter: _end, ...small } = statement;
    const parsed = parseManifest(JSON.stringify({ ...knownManifest, statement: small }));
    expect(parsed.statement).toEqual(small);
  });

  test.each([
    ["manifest", "{"],
    ["manifest", "[]"],
    ["manifest", JSON.stringify(knownManifest).replace("{", '{"keyId":"x",')],
    ["manifest", `{"a":{"b":[]}}`],
    ["manifest", " ".repeat(maxManifestChars + 1)],
    ["manifest", text((m) => void (m["extra"] = {}))],
    ["statement", text((m) => void delete m["statement"])],
    ["statement", text((m) => void (m["statement"] = { ...statement, also: 1 }))],
    ["statement.sha256", text((m) => void (m["statement"] = { ...statement, sha256: "AB" }))],
    ["statement.size", text((m) => void (m["statement"] = { ...statement, size: 0 }))],
    ["statement.size", text((m) => void (m["statement"] = { ...statement, size: 1.5 }))],
    ["statement.size", text((m) => void (m["statement"] = { ...statement, size: "1" }))],
    ["statement.size", text((m) => void (m["statement"] = { ...statement, size: 268435457 }))],
    ["statement.vendor", text((m) => void (m["statement"] = { ...statement, vendor: "a b" }))],
    ["statement.type", text((m) => void (m["statement"] = { ...statement, type: "" }))],
    [
      "statement.interfaceId",
      text((m) => void (m["statement"] = { ...statement, interfaceId: interfaceId.toUpperCase() })),
    ],
    [
      "statement.functionId",
      text(
        (m) => void (m["statement"] = { ...statement, functionId: functionId.replaceAll("-", "") }),
      ),
    ],
    ["statement.notAfter", text((m) => void (m["statement"] = { ...statement, notAfter: 5 }))],
    [
      "statement.notAfter",
      text((m) => void (m["statement"] = { ...statement, notAfter: "2030-02-30T00:00:00Z" })),
    ],
    [
      "statement.notAfter",
      text((m) => void (m["statement"] = { ...statement, notAfter: "2030-01-31T00:00:00+02:00" })),
    ],
    ["keyId", text((m) => void Object.assign(m, { keyId: "ed25519:17EC" }))],
    ["signature", text((m) => void Object.assign(m, { signature: "AAAA" }))],
    ["signature", text((m) => void Object.assign(m, { signature: known.signature.slice(0, -2) }))],
    [
      "signature",
      text((m) => void Object.assign(m, { signature: known.signature.replace("A==", "B==") })),
    ],
  ])("refuses a wrong %s (case %#)", (field, manifest) => {
    const fault = expectFault(() => parseManifest(manifest), "SIGNATURE_INVALID", field);
    expect(fault.detail.expected).not.toMatch(/^Invalid/);
  });

  test("takes one that is parsed already, such as the one of an image in the table", () => {
    const stored: SignedManifest = parseManifest(JSON.stringify(knownManifest));
    expect(checkManifest(stored)).toEqual(knownManifest);
    for (const value of [undefined, null, "", 5, {}, { ...knownManifest, keyId: undefined }]) {
      expectFault(() => checkManifest(value), "SIGNATURE_INVALID");
    }
  });

  test("of arbitrary text never throws anything but a Fault", () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (json) => {
        expect(faultOf(() => parseManifest(json))?.code).toBe("SIGNATURE_INVALID");
      }),
      { numRuns: 200 },
    );
  });
});

describe("signing", () => {
  test("gives a manifest that is read and verified", () => {
    const manifest = signManifest(statement, keyId, pair.privateKey);
    const read = parseManifest(JSON.stringify(manifest));
    expect(read).toEqual(manifest);
    verifyManifest(read, pair.publicKey, facts, before);
    verifyManifest(read, spki(pair.publicKey), facts, before);
    expect(signManifest(statement, keyId, pair.privateKey)).toEqual(manifest);
  });

  test("refuses a key id of another key, a public key and a statement that is none", () => {
    const bad = (change: object, id = keyId, key = pair.privateKey) =>
      faultOf(() => signManifest({ ...statement, ...change }, id, key))?.detail.field;
    expect(bad({}, known.keyId)).toBe("keyId");
    expect(bad({}, keyId, pair.publicKey)).toBe("privateKey");
    expect(bad({ size: -1 })).toBe("statement.size");
    expect(bad({}, keyId, generateKeyPairSync("x25519").privateKey)).toBe("publicKey");
  });
});

describe("verifying", () => {
  test("accepts what openssl signed", () => {
    verifyKnown({});
    verifyManifest(knownManifest, createPublicKey(known.pem), facts, before);
  });

  test("takes any name of the same maker", () => {
    verifyKnown({ vendor: "Altera" });
  });

  test("refuses the signature of another key, under either key id", () => {
    const other = signManifest(statement, keyId, pair.privateKey);
    expectFault(
      () => verifyManifest(other, known.pem, facts, before),
      "SIGNATURE_INVALID",
      "keyId",
    );
    const forged = { ...other, keyId: known.keyId };
    expectFault(
      () => verifyManifest(forged, known.pem, facts, before),
      "SIGNATURE_INVALID",
      "signature",
    );
  });

  test("refuses a statement changed after signing, before anything else is looked at", () => {
    const changes: Partial<ManifestStatement>[] = [
      { sha256: "00".repeat(32) },
      { size: 1235 },
      { vendor: "xilinx" },
      { type: "gzip" },
      { format: "xclbin" },
      { interfaceId: functionId },
      { functionId: interfaceId },
      { notAfter: "2031-01-31T00:00:00Z" },
    ];
    for (const change of changes) {
      const changed = { ...knownManifest, statement: { ...statement, ...change } };
      expectFault(
        () => verifyManifest(changed, known.pem, { ...facts, ...change }, before),
        "SIGNATURE_INVALID",
        "signature",
      );
    }
    const { notAfter: _end, ...endless } = statement;
    expectFault(
      () => verifyManifest({ ...knownManifest, statement: endless }, known.pem, facts, before),
      "SIGNATURE_INVALID",
    );
  });

  test("refuses a signature with any one bit flipped", () => {
    const bytes = Buffer.from(known.signature, "base64");
    fc.assert(
      fc.property(fc.nat(511), (bit) => {
        const flipped = Buffer.from(bytes);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const forged = { ...knownManifest, signature: flipped.toString("base64") };
        expectFault(() => verifyManifest(forged, known.pem, facts, before), "SIGNATURE_INVALID");
      }),
      { numRuns: 50 },
    );
  });

  test("ends with the second it names, and at once when the clock cannot be read", () => {
    const at = (time: string) => () =>
      verifyManifest(knownManifest, known.pem, facts, new Date(time));
    at("2030-01-31T00:00:00Z")();
    expectFault(at("2030-01-31T00:00:00.001Z"), "SIGNATURE_EXPIRED");
    expectFault(at("no time"), "SIGNATURE_EXPIRED");
  });

  test("without an end holds at any time", () => {
    const { notAfter: _end, ...endless } = statement;
    const manifest = signManifest(endless, keyId, pair.privateKey);
    verifyManifest(manifest, pair.publicKey, facts, new Date("9999-01-01T00:00:00Z"));
  });

  test.each<Partial<typeof facts>>([
    { sha256: "11".repeat(32) },
    { size: 1235 },
    { vendor: "xilinx" },
    { type: "gzip" },
    { format: "xclbin" },
    { interfaceId: functionId },
    { functionId: interfaceId },
  ])("names the fact that the statement contradicts: %o", (change) => {
    expectFault(() => verifyKnown(change), "IMAGE_METADATA_MISMATCH", Object.keys(change)[0]);
  });

  test("compares only facts that are known", () => {
    const { sha256, size } = facts;
    verifyManifest(knownManifest, known.pem, { sha256, size }, before);
  });

  test("refuses a region that the statement leaves open", () => {
    const { interfaceId: _region, ...open } = statement;
    const manifest = signManifest(open, keyId, pair.privateKey);
    expectFault(
      () => verifyManifest(manifest, pair.publicKey, facts, before),
      "IMAGE_METADATA_MISMATCH",
      "interfaceId",
    );
  });

  test("refuses a key that is no Ed25519 key", () => {
    expectFault(() => verifyManifest(knownManifest, "pem", facts, before), "INVALID_REQUEST");
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;
    expectFault(() => verifyManifest(knownManifest, rsa, facts, before), "INVALID_REQUEST");
  });

  test("does not take a signature of other bytes with the same meaning", () => {
    const pretty = Buffer.from(JSON.stringify(statement, null, 2));
    const signature = sign(null, pretty, pair.privateKey).toString("base64");
    const manifest = { statement, keyId, signature };
    expectFault(
      () => verifyManifest(manifest, pair.publicKey, facts, before),
      "SIGNATURE_INVALID",
      "signature",
    );
  });
});
