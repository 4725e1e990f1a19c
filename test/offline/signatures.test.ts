import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView } from "#protocol/http/deployables";
import type { CreatedImage, ImageView } from "#protocol/http/images";
import type { KeyView } from "#protocol/http/keys";
import { type Manifest, type ManifestStatement, signManifest } from "#protocol/images/manifest";
import { keyIdOf } from "#protocol/images/signing-key";
import { ingest } from "../../functions/ingest/ingest.ts";
import { bucketFrom } from "../../functions/parts/bucket.ts";
import { settingsFrom } from "../../functions/parts/settings.ts";
import { storeFrom } from "../../functions/parts/store.ts";
import type { Api } from "../../localstack/hosts/api.ts";
import { bound, claimOne, until } from "../../localstack/tour/steps.ts";
import { type Offline, offered, startOffline } from "./support.ts";
import {
  cryptoTags,
  functionOf,
  gbs,
  hooked,
  imageWhen,
  intelRegion,
  judged,
  problemOf,
  put,
  sha256Of,
  tag,
} from "./uploads.ts";

interface Signer {
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly pem: string;
}

let offline: Offline;
let api: Api;
let trusted: Signer;

beforeAll(async () => {
  offline = await startOffline({ GATEHOUSE_SIGNATURE_POLICY: "required" });
  api = offline.as("acme");
  await offline.addHost("host-1", { dfl: 1 });
  trusted = newSigner();
  await trust(trusted, "release");
});

afterAll(async () => {
  await offline.close();
});

function newSigner(): Signer {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  return { id: keyIdOf(publicKey), privateKey, pem };
}

async function trust({ id, pem }: Signer, name: string): Promise<void> {
  const key = await api<KeyView>("POST", "/v1/keys", { name, publicKey: pem });
  expect(key.id).toBe(id);
}

/** What a signer says of the image that `gbs(name)` makes. */
function manifestOf(
  name: string,
  by: Signer = trusted,
  changes: Partial<ManifestStatement> = {},
): Manifest {
  const bytes = gbs(name);
  const statement = {
    sha256: sha256Of(bytes),
    size: bytes.length,
    vendor: "intel",
    type: "crypto",
    format: "gbs",
    interfaceId: intelRegion,
    functionId: functionOf(name),
    ...changes,
  };
  return signManifest(statement, by.id, by.privateKey);
}

const keyOf = (name: string) => `images/acme/${name}.gbs`;

async function upload(name: string, visibility = "private"): Promise<void> {
  await put(offline, keyOf(name), gbs(name), { tags: { ...cryptoTags, visibility } });
}

async function vouch(name: string, manifest: unknown): Promise<void> {
  await put(offline, `${keyOf(name)}.manifest.json`, JSON.stringify(manifest));
}

async function active(name: string): Promise<ImageView> {
  return await imageWhen(api, keyOf(name), ({ state }) => state === "active");
}

async function refused(name: string, code: string): Promise<ImageView> {
  const isRefused = ({ state, reason }: ImageView) => state === "rejected" && reason?.code === code;
  return await imageWhen(api, keyOf(name), isRefused);
}

test("a signature that lies there before the object makes it active at once", async () => {
  await vouch("before", manifestOf("before"));
  await upload("before");
  expect(await judged(api, keyOf("before"))).toMatchObject({
    state: "active",
    signedBy: trusted.id,
  });
});

test("an unsigned image waits for its signature beside it", async () => {
  await upload("after");
  const image = await refused("after", "SIGNATURE_REQUIRED");
  await vouch("after", manifestOf("after"));
  expect(await active("after")).toMatchObject({ id: image.id, signedBy: trusted.id });
});

test("an unsigned image waits for its signature over the API", async () => {
  await upload("by-api");
  const { id } = await refused("by-api", "SIGNATURE_REQUIRED");
  const path = `/v1/images/${id}/signature`;
  const signed = await api<ImageView>("POST", path, { manifest: manifestOf("by-api") });
  expect(signed).toMatchObject({ id, state: "active", signedBy: trusted.id });
  expect(signed.reason).toBeUndefined();
});

test("an announcement may bring its signature along", async () => {
  const bytes = gbs("along");
  const created = await api<CreatedImage>("POST", "/v1/images", {
    name: "along",
    vendor: "intel",
    type: "crypto",
    sha256: sha256Of(bytes),
    size: bytes.length,
    manifest: manifestOf("along"),
  });
  await put(offline, created.image.objectKey, bytes);
  const image = await judged(api, created.image.objectKey);
  expect(image).toMatchObject({ state: "active", signedBy: trusted.id });
});

test.each([
  ["an unknown key", "SIGNATURE_INVALID", (name: string) => manifestOf(name, newSigner())],
  [
    "a wrong signature",
    "SIGNATURE_INVALID",
    (name: string) => ({ ...manifestOf(name), signature: manifestOf("another").signature }),
  ],
  [
    "a past end",
    "SIGNATURE_EXPIRED",
    (name: string) => manifestOf(name, trusted, { notAfter: "2020-01-31T00:00:00Z" }),
  ],
  [
    "other bytes",
    "IMAGE_METADATA_MISMATCH",
    (name: string) => manifestOf(name, trusted, { sha256: sha256Of(Buffer.from(name)) }),
  ],
  [
    "another type",
    "IMAGE_METADATA_MISMATCH",
    (name: string) => manifestOf(name, trusted, { type: "dsp" }),
  ],
] as const)(
  "a signature with %s is refused with %s until a good one comes",
  async (what, code, make) => {
    const name = what.replaceAll(" ", "-");
    await vouch(name, make(name));
    await upload(name);
    const image = await refused(name, code);
    await vouch(name, manifestOf(name));
    expect(await active(name)).toMatchObject({ id: image.id, signedBy: trusted.id });
  },
);

test("an unreadable manifest vouches for nothing", async () => {
  await vouch("unreadable", { statement: "x" });
  await upload("unreadable");
  const { id } = await refused("unreadable", "SIGNATURE_REQUIRED");
  const problem = await problemOf(api("POST", `/v1/images/${id}/signature`, { manifest: {} }));
  expect(problem).toMatchObject({ code: "SIGNATURE_INVALID", status: 422 });
});

test("the signature of an earlier object does not spoil the next one under its name", async () => {
  await vouch("rebuilt", manifestOf("rebuilt"));
  await upload("rebuilt");
  await active("rebuilt");
  await put(offline, keyOf("rebuilt"), gbs("rebuilt-2"), { tags: cryptoTags });
  await refused("rebuilt", "IMAGE_METADATA_MISMATCH");
  await vouch("rebuilt", manifestOf("rebuilt-2"));
  const isNew = ({ functionId, state }: ImageView) =>
    functionId === functionOf("rebuilt-2") && state === "active";
  await imageWhen(api, keyOf("rebuilt"), isNew);
  expect(
    await imageWhen(api, keyOf("rebuilt"), ({ state }) => state === "active", 2),
  ).toBeDefined();
});

test("a judgement that began before the signature came does not undo it", async () => {
  const name = "overtaken";
  const { environment } = offline.cloud;
  const store = storeFrom(environment);
  const real = bucketFrom(environment);
  const version = await put(offline, keyOf(name), gbs(name));
  const slow = hooked(real, {
    facts: async (...at) => {
      const facts = await real.facts(...at);
      return facts && { ...facts, tags: cryptoTags };
    },
    read: async (...at) => {
      const body = await real.read(...at);
      await tag(offline, keyOf(name), cryptoTags);
      await refused(name, "SIGNATURE_REQUIRED");
      await vouch(name, manifestOf(name));
      await active(name);
      return body;
    },
  });
  const settings = settingsFrom(environment);
  await ingest({ store, bucket: slow, settings }, { key: keyOf(name), version });
  expect(await active(name)).toMatchObject({ signedBy: trusted.id });
});

test("a signature that does not verify takes nothing from an image that has one", async () => {
  const name = "signed-twice";
  await vouch(name, manifestOf(name));
  await upload(name);
  const { id } = await active(name);
  const unknown = manifestOf(name, newSigner());
  const sign = api("POST", `/v1/images/${id}/signature`, { manifest: unknown });
  expect(await problemOf(sign)).toMatchObject({ code: "SIGNATURE_INVALID", field: "keyId" });
  await vouch(name, unknown);
  await vouch("signed-last", manifestOf("signed-last"));
  await upload("signed-last");
  await active("signed-last");
  expect(await active(name)).toMatchObject({ id, signedBy: trusted.id });
});

test("a key that is revoked takes its images with it, also those that wait for it", async () => {
  const signer = newSigner();
  await trust(signer, "leaving");
  await vouch("revoked", manifestOf("revoked", signer));
  await upload("revoked", "shared");
  const image = await active("revoked");
  await offered(api, 2);
  const claim = await claimOne(context(), { image: image.id });
  await bound(context(), claim.id);
  await api("POST", `/v1/keys/${encodeURIComponent(signer.id)}/revoke`);
  await refused("revoked", "KEY_REVOKED");
  const denied = await problemOf(api("POST", "/v1/claims", { image: image.id }));
  expect(denied["code"]).toBe("IMAGE_NOT_ACTIVE");
  expect(await api<ClaimView>("GET", `/v1/claims/${claim.id}`)).toMatchObject({ state: "Bound" });
  await api("DELETE", `/v1/claims/${claim.id}`);
  const cleaned = await until("the card to be offered, blank", async () => {
    const card = await api<DeployableView>("GET", `/v1/deployables/${claim.deployable}`);
    return card.offered ? card : undefined;
  });
  expect(cleaned.loaded.functionId).toBeNull();
  await vouch("too-late", manifestOf("too-late", signer));
  await upload("too-late");
  await refused("too-late", "KEY_REVOKED");
  await vouch("revoked", manifestOf("revoked"));
  expect(await active("revoked")).toMatchObject({ id: image.id, signedBy: trusted.id });
});

function context() {
  const { s3, cloud } = offline;
  return { api, s3, bucket: cloud.bucket, project: "acme", say: () => undefined };
}
