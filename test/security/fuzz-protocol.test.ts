import { generateKeyPairSync } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Canonical } from "#protocol/canonical";
import { canonicalJson } from "#protocol/canonical";
import type { Route } from "#protocol/http/route";
import { routes } from "#protocol/http/routes";
import { encodeGbs } from "#protocol/images/encode-gbs";
import { headBytesNeeded } from "#protocol/images/header";
import { judgeImage } from "#protocol/images/judge";
import {
  checkManifest,
  type ManifestStatement,
  parseManifest,
  signManifest,
  verifyManifest,
} from "#protocol/images/manifest";
import { checkObjectKey } from "#protocol/images/names";
import { keyIdOf, parsePublicKey } from "#protocol/images/signing-key";
import { parseStrictJson } from "#protocol/images/strict-json";
import { parseLooseUuid, parseUuid } from "#protocol/images/uuid";
import { verifyPermit } from "#protocol/permit";
import { decodeAgentMessage, decodeCloudMessage, encodeMessage } from "#protocol/wire/codec";
import { decodePageToken, encodePageToken } from "#store/page-token";
import { idOf } from "../http/rows.ts";
import { gbsBytes, gbsJson, signedPayload, xclbinBytes } from "../protocol/images/handmade.ts";
import {
  anyJson,
  mutated,
  mutatedBytes,
  mutatedText,
  orFault,
  orFaultLater,
  runs,
} from "./fuzz.ts";

/** Every parser of the protocol: a typed fault or a value that is read again as the same. */

const pair = generateKeyPairSync("ed25519");
const statement: ManifestStatement = {
  sha256: "a".repeat(64),
  size: 10,
  vendor: "intel",
  type: "crypto",
  format: "raw",
  interfaceId: idOf("interface"),
  functionId: idOf("function"),
};
const manifest = signManifest(statement, keyIdOf(pair.publicKey), pair.privateKey);

describe("image headers", () => {
  const valid: readonly (readonly [string, Buffer])[] = [
    ["a GBS", gbsBytes()],
    ["a signed GBS", gbsBytes(gbsJson, signedPayload())],
    ["an xclbin", xclbinBytes()],
    ["an AFI", Buffer.from(`agfi-${"0".repeat(17)}\n`)],
  ];
  const judge = (bytes: Uint8Array, said: Parameters<typeof judgeImage>[1]) =>
    orFault(() =>
      judgeImage({ head: bytes.subarray(0, headBytesNeeded), size: bytes.length }, said),
    );

  test.each(valid)("%s with changed bytes is refused or judged, twice alike", (_, file) => {
    const said = fc.constantFrom({}, { format: "raw" }, { statement }, { interfaceId: "x" });
    fc.assert(
      fc.property(mutatedBytes(file), said, (bytes, one) => {
        const header = judge(bytes, one);
        expect(judge(Buffer.from(bytes), one)).toEqual(header);
        if (header?.format === "gbs") expect(parseUuid(header.functionId)).toBe(header.functionId);
      }),
      runs(300),
    );
  });

  test("any bytes behind any magic are refused or judged", () => {
    const magic = fc.constantFrom(...valid.map(([, file]) => file.subarray(0, 24)));
    fc.assert(
      fc.property(magic, fc.uint8Array({ maxLength: 600 }), (head, rest) => {
        judge(Buffer.concat([head, rest]), {});
        judge(rest, { statement });
      }),
      runs(300),
    );
  });

  test("the size that is told is not believed", () => {
    const sizes = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(2 ** 53, Number.NaN, -1));
    fc.assert(
      fc.property(fc.constantFrom(...valid.map(([, file]) => file)), sizes, (file, size) => {
        orFault(() => judgeImage({ head: file.subarray(0, headBytesNeeded), size }, {}));
      }),
      runs(200),
    );
  });

  test("metadata of a GBS is any JSON", () => {
    fc.assert(
      fc.property(mutated(JSON.parse(gbsJson)), (metadata) => {
        judge(gbsBytes(Buffer.from(JSON.stringify(metadata) ?? "")), {});
      }),
      runs(300),
    );
  });

  test("what the encoder makes is read", () => {
    const bytes = fc.uint8Array({ minLength: 4, maxLength: 64 });
    fc.assert(
      fc.property(bytes, (payload) => {
        const [interfaceId, functionId] = [idOf("interface"), idOf("function")];
        const file = encodeGbs({ interfaceId, functionId, name: "afu", payload });
        expect(judge(file, {})).toMatchObject({ format: "gbs", interfaceId, functionId });
      }),
      runs(30),
    );
  });
});

describe("JSON", () => {
  test("with one meaning is read as JSON.parse reads it, or refused as text", () => {
    const text = fc.oneof(
      anyJson.map((one) => JSON.stringify(one) ?? ""),
      fc.string(),
    );
    fc.assert(
      fc.property(text, fc.nat(6), (one, depth) => {
        try {
          expect(parseStrictJson(one, depth)).toEqual(JSON.parse(one));
        } catch (error) {
          expect(error).toBeInstanceOf(SyntaxError);
        }
      }),
      runs(500),
    );
  });

  test("in canonical form is read again as the same and has one text", () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const plain = JSON.parse(JSON.stringify(value) ?? "null") as Canonical;
        let text: string;
        try {
          text = canonicalJson(plain);
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError);
          return;
        }
        const again = JSON.parse(text) as Canonical;
        expect(canonicalJson(again)).toBe(text);
        expect(JSON.stringify(again)).toHaveLength(JSON.stringify(plain).length);
      }),
      runs(500),
    );
  });
});

describe("manifests", () => {
  const facts = { ...statement };
  const now = new Date("2029-01-01T00:00:00Z");

  test("of any form are refused, or stay what they are", () => {
    fc.assert(
      fc.property(fc.oneof(anyJson, mutated(manifest)), (value) => {
        const read = orFault(() => checkManifest(value));
        if (read !== undefined)
          expect(checkManifest(JSON.parse(JSON.stringify(read)))).toEqual(read);
        orFault(() => parseManifest(JSON.stringify(value) ?? ""));
      }),
      runs(500),
    );
  });

  test("that differ in anything from what was signed do not verify", () => {
    fc.assert(
      fc.property(mutated(manifest), (value) => {
        const read = orFault(() => checkManifest(value));
        if (read === undefined || JSON.stringify(read) === JSON.stringify(manifest)) return;
        let verified = true;
        try {
          verifyManifest(read, pair.publicKey, facts, now);
        } catch {
          verified = false;
        }
        const isSame =
          canonicalJson(read.statement) === canonicalJson(statement) &&
          read.keyId === manifest.keyId &&
          read.signature === manifest.signature;
        expect(verified).toBe(isSame);
      }),
      runs(500),
    );
  });

  test("of one image do not vouch for another, whichever fact is swapped", () => {
    const other = {
      sha256: "b".repeat(64),
      size: 11,
      vendor: "xilinx",
      type: "other",
      format: "gbs",
      interfaceId: idOf("another interface"),
      functionId: idOf("another function"),
    };
    for (const [name, value] of Object.entries(other)) {
      const swapped = { ...facts, [name]: value };
      expect(() => verifyManifest(manifest, pair.publicKey, swapped, now), name).toThrow();
    }
    const key = generateKeyPairSync("ed25519").publicKey;
    expect(() => verifyManifest(manifest, key, facts, now)).toThrow();
    expect(() => verifyManifest({ ...manifest, keyId: keyIdOf(key) }, key, facts, now)).toThrow();
    verifyManifest(manifest, pair.publicKey, facts, now);
  });
});

describe("frames", () => {
  const valid: readonly object[] = [
    {
      type: "report",
      deployable: idOf("d"),
      epoch: 1,
      seq: 1,
      bootId: idOf("b"),
      imageGeneration: 1,
      revision: 1,
      phase: "ready",
      loaded: { functionId: null },
      health: { state: "ok" },
      clean: true,
      handles: {
        pf: { fence: 1, state: "plugged", clean: false, attachment: { hypervisor: "q" } },
      },
    },
    { type: "ping", epoch: 1, digest: { [idOf("d")]: 1 } },
    { type: "hello", host: idOf("h"), agentVersion: "1", protocol: 1, bootId: idOf("b") },
    { type: "welcome", epoch: 1, serverTime: 1, floors: {}, chainHeads: {}, wants: [] },
    {
      type: "desired",
      deployable: idOf("d"),
      revision: 1,
      imageGeneration: 1,
      handles: { pf: { fence: 1, plugged: true, target: { hypervisor: "libvirt" } } },
    },
  ];

  test.each([decodeAgentMessage, decodeCloudMessage])("%o refuses or keeps them", (decode) => {
    const text = fc.oneof(
      fc.constantFrom(...valid).chain((one) => mutated(one).map((other) => JSON.stringify(other))),
      fc.constantFrom(...valid).chain((one) => mutatedText(JSON.stringify(one))),
      anyJson.map((one) => JSON.stringify(one)),
    );
    fc.assert(
      fc.property(text, (one) => {
        const message = orFault(() => decode(one ?? ""));
        if (message === undefined) return;
        const sent = encodeMessage(message);
        expect(encodeMessage(decode(sent))).toBe(sent);
      }),
      runs(600),
    );
  });
});

describe("bodies and queries of routes", () => {
  const all: readonly (readonly [string, Route])[] = Object.entries(routes);
  const parsed = all.flatMap(([name, { body, query }]) =>
    [body, query].flatMap((schema) => (schema === undefined ? [] : [[name, schema] as const])),
  );

  test.each(parsed)(
    "of %s are judged without a throw, and what is taken is taken again",
    (_, schema) => {
      fc.assert(
        fc.property(anyJson, (value) => {
          const result = schema.safeParse(value);
          if (!result.success) return;
          expect(schema.safeParse(result.data).success).toBe(true);
        }),
        runs(60),
      );
    },
  );
});

describe("texts", () => {
  test("for a page are refused, or are what was given out", () => {
    const lists = [{ pk: "P" }, { index: "gsi1", pk: "P" }] as const;
    const row = { pk: "P", sk: "S", gsi1pk: "P", gsi1sk: "x" };
    for (const list of lists) {
      const valid = encodePageToken(list, row);
      const again = Buffer.from(valid, "base64url").toString();
      const token = fc.oneof(
        mutatedText(valid),
        mutatedText(again).map((one) => Buffer.from(one).toString("base64url")),
        anyJson.map((one) => Buffer.from(JSON.stringify(one) ?? "").toString("base64url")),
      );
      fc.assert(
        fc.property(token, (one) => {
          const key = orFault(() => decodePageToken(list, one));
          if (key !== undefined) expect(encodePageToken(list, key)).toBe(valid);
        }),
        runs(200),
      );
    }
  });

  test("that name objects are refused, or name what they say", () => {
    const key = fc.oneof(mutatedText("images/p1/folder/name.gbs.manifest.json"), fc.string());
    fc.assert(
      fc.property(key, (one) => {
        const found = orFault(() => checkObjectKey(one));
        if (found === undefined) return;
        expect(`images/${found.project}/${found.name}`).toBe(one);
        expect(found.name.split("/")).not.toContain("..");
      }),
      runs(500),
    );
  });

  test("that should be a uuid, a key or a permit are refused or stay the same", async () => {
    const pem = pair.publicKey.export({ type: "spki", format: "pem" }).toString();
    const text = fc.oneof(fc.string(), mutatedText(idOf("x")), mutatedText(pem));
    await fc.assert(
      fc.asyncProperty(text, async (one) => {
        const uuid = parseLooseUuid(one);
        if (uuid !== undefined) expect(parseUuid(uuid)).toBe(uuid);
        orFault(() => parsePublicKey(one));
        expect(
          await orFaultLater(async () => await verifyPermit(one, pair.publicKey, Date.now())),
        ).toBeUndefined();
      }),
      runs(200),
    );
  });
});
