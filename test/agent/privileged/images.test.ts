import { createHash, generateKeyPairSync } from "node:crypto";
import { chmod, link, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import { signManifest } from "#protocol/images/manifest";
import { keyIdOf } from "#protocol/images/signing-key";
import type { ImageReference } from "#protocol/wire/shapes";
import type { TrustedKey } from "../../../agent/host/image-trust.ts";
import { type JudgeOptions, judgedFile } from "../../../agent/privileged/images.ts";

const interfaceId = "69528db6-eb31-577a-9926-ab6d6c925a68";
const functionId = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
const bytes = Buffer.from("a bitstream without a header");
const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest("hex");
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));

const facts = {
  size: bytes.length,
  sha256: hash("sha256"),
  format: "raw",
  vendor: "xilinx",
  type: "crypto",
  interfaceId,
  functionId,
} as const;
const image: ImageReference = {
  ...facts,
  id: "99999999-9999-4999-8999-999999999999",
  url: "",
  md5: hash("md5"),
  manifest: signManifest(facts, keyIdOf(publicKey), privateKey),
};

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gatehouse-judge-"));
  path = join(folder, `${image.sha256}.image`);
  await writeFile(path, bytes, { mode: 0o600 });
});
afterEach(() => rm(folder, { recursive: true }));

function judge(of: ImageReference = image, key: TrustedKey = { publicKey }) {
  const options: JudgeOptions = {
    folder,
    maxBytes: 1000,
    blanks: [{ bytes: Buffer.from("blank"), functionId, interfaceId, payloadOffset: 1 }],
    trust: {
      signature: "required",
      keyOf: (id) => (id === keyIdOf(publicKey) ? key : undefined),
      now: () => new Date(0),
    },
  };
  return { options, result: () => judgedFile(options, { image: of }) };
}

test("gives the bytes of a signed image that is what was said", async () => {
  const judged = await judge().result();
  expect(judged).toMatchObject({ functionId, interfaceId });
  expect(judged.bytes.equals(bytes)).toBe(true);
});

test("refuses a file that was swapped after it was verified", async () => {
  await writeFile(path, Buffer.alloc(bytes.length, 1));
  await expect(judge().result()).rejects.toEqual(fault("IMAGE_CORRUPT"));
});

test("refuses a symbolic link", async () => {
  await rename(path, join(folder, "other"));
  await symlink(join(folder, "other"), path);
  await expect(judge().result()).rejects.toEqual(fault("IMAGE_CORRUPT"));
});

test("refuses a file with a second name", async () => {
  await link(path, join(folder, "other"));
  await expect(judge().result()).rejects.toEqual(fault("IMAGE_CORRUPT"));
});

test("refuses a file that others can write", async () => {
  await chmod(path, 0o602);
  await expect(judge().result()).rejects.toEqual(fault("IMAGE_CORRUPT"));
});

test("refuses a file that is not there", async () => {
  await rm(path);
  await expect(judge().result()).rejects.toEqual(fault("IMAGE_CORRUPT"));
});

test("refuses a key that was revoked", async () => {
  const { result } = judge(image, { publicKey, revoked: true });
  await expect(result()).rejects.toEqual(fault("KEY_REVOKED"));
});

test("refuses a signature by a key that is not the operator's", async () => {
  const other = generateKeyPairSync("ed25519");
  const manifest = signManifest(facts, keyIdOf(other.publicKey), other.privateKey);
  const { result } = judge({ ...image, manifest });
  await expect(result()).rejects.toEqual(fault("SIGNATURE_INVALID"));
});

test("refuses an image that is larger than any may be", async () => {
  const { result } = judge({ ...image, size: 1001 });
  await expect(result()).rejects.toEqual(fault("IMAGE_TOO_LARGE"));
});

test("takes a blank image of the operator by its digest, and no other", async () => {
  const { options } = judge();
  const sha256 = createHash("sha256").update("blank").digest("hex");
  const blank = await judgedFile(options, { blank: sha256 });
  expect(blank.bytes.toString()).toBe("lank");
  const none = judgedFile(options, { blank: image.sha256 });
  await expect(none).rejects.toEqual(fault("INVALID_REQUEST"));
});
