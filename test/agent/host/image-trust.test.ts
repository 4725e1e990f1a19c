import { createHash, generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import { afiFunctionId } from "#protocol/images/afi";
import { type ManifestStatement, signManifest } from "#protocol/images/manifest";
import { keyIdOf } from "#protocol/images/signing-key";
import type { ImageReference } from "#protocol/wire/shapes";
import { type TrustPolicy, trustImage } from "../../../agent/host/image-trust.ts";

const region = "69528db6-eb31-577a-9926-ab6d6c925a68";
const functionId = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
const agfi = "agfi-0123456789abcdef0";
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const keyId = keyIdOf(publicKey);
const raw = Buffer.from("a bitstream without a header");
const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));

function policy(changes: Partial<TrustPolicy> = {}): TrustPolicy {
  const keyOf = (id: string) => (id === keyId ? { publicKey } : undefined);
  return { signature: "optional", keyOf, now: () => new Date(0), ...changes };
}

function reference(bytes: Buffer, changes: Partial<ImageReference> = {}): ImageReference {
  const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest("hex");
  return {
    id: "99999999-9999-4999-8999-999999999999",
    url: "https://images.example/raw",
    size: bytes.length,
    sha256: hash("sha256"),
    md5: hash("md5"),
    format: "raw",
    vendor: "xilinx",
    type: "crypto",
    interfaceId: region,
    functionId,
    ...changes,
  };
}

function signed(image: ImageReference, changes: Partial<ManifestStatement> = {}): ImageReference {
  const { sha256, size, vendor, type, format } = image;
  const ids = { interfaceId: region, functionId: image.functionId };
  const statement = { sha256, size, vendor, type, format, ...ids, ...changes };
  return { ...image, manifest: signManifest(statement, keyId, privateKey) };
}

const refusal = (bytes: Buffer, image: ImageReference, trust = policy()) => {
  try {
    return trustImage(bytes, image, trust);
  } catch (error) {
    return error;
  }
};

describe("a raw image", () => {
  test("signed by a known key goes to the driver whole, with the ids of its statement", () => {
    expect(trustImage(raw, signed(reference(raw)), policy())).toMatchObject({
      format: "raw",
      interfaceId: region,
      functionId,
      payloadOffset: 0,
      bytes: raw,
    });
  });

  test("is refused unsigned or signed by a stranger, also where signatures are optional", () => {
    expect(refusal(raw, reference(raw))).toEqual(fault("SIGNATURE_REQUIRED"));
    const strangers = policy({ keyOf: () => undefined });
    expect(refusal(raw, signed(reference(raw)), strangers)).toEqual(fault("SIGNATURE_INVALID"));
  });

  test("is refused when the cloud says other ids than its statement", () => {
    for (const changes of [{ functionId: region }, { interfaceId: functionId }]) {
      const image = { ...signed(reference(raw)), ...changes };
      expect(refusal(raw, image)).toEqual(fault("IMAGE_METADATA_MISMATCH"));
    }
  });

  test("with an altered statement is refused", () => {
    const image = signed(reference(raw));
    if (image.manifest === undefined) throw new Error("signed");
    const statement = { ...image.manifest.statement, functionId: region };
    const forged = { ...image, functionId: region, manifest: { ...image.manifest, statement } };
    expect(refusal(raw, forged)).toEqual(fault("SIGNATURE_INVALID"));
  });
});

describe("an AFI", () => {
  const bytes = Buffer.from(`${agfi}\n`);
  const afi = (changes: Partial<ImageReference> = {}) =>
    reference(bytes, { format: "afi", functionId: afiFunctionId(agfi), ...changes });

  test("goes to the driver as its id, for the shell that the cloud names", () => {
    for (const image of [afi(), signed(afi())]) {
      expect(trustImage(bytes, image, policy())).toMatchObject({
        format: "afi",
        interfaceId: region,
        functionId: afiFunctionId(agfi),
        payloadOffset: 0,
      });
    }
  });

  test("is refused under another function id, format or shell than its own", () => {
    for (const image of [afi({ functionId }), afi({ format: "gbs" })]) {
      expect(refusal(bytes, image)).toEqual(fault("IMAGE_METADATA_MISMATCH"));
    }
    const elsewhere = signed(afi(), { interfaceId: functionId });
    expect(refusal(bytes, elsewhere)).toEqual(fault("IMAGE_METADATA_MISMATCH"));
    const { interfaceId: _, ...nowhere } = afi();
    expect(refusal(bytes, nowhere)).toEqual(fault("IMAGE_METADATA_MISMATCH"));
  });

  test("is refused unsigned where signatures are required", () => {
    const trust = policy({ signature: "required" });
    expect(refusal(bytes, afi(), trust)).toEqual(fault("SIGNATURE_REQUIRED"));
  });
});
