import { GetObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView } from "#protocol/http/deployables";
import type { CreatedImage, ImageView } from "#protocol/http/images";
import { readImage } from "#store/images";
import { ingest } from "../../functions/ingest/ingest.ts";
import { bucketFrom } from "../../functions/parts/bucket.ts";
import { settingsFrom } from "../../functions/parts/settings.ts";
import { storeFrom } from "../../functions/parts/store.ts";
import { type Api, apiOf } from "../../localstack/hosts/api.ts";
import { bound, claimOne } from "../../localstack/tour/steps.ts";
import { type Offline, offered, startOffline } from "./support.ts";
import {
  activeImage,
  cryptoTags,
  functionOf,
  gbs,
  hooked,
  imagesAt,
  imageWhen,
  intelRegion,
  judged,
  md5Of,
  problemOf,
  put,
  sha256Of,
  tag,
} from "./uploads.ts";

let offline: Offline;
let api: Api;

beforeAll(async () => {
  offline = await startOffline();
  api = offline.as("acme");
  await offline.addHost("host-1", { dfl: 1 });
});

afterAll(async () => {
  await offline.close();
});

/** The API as acme with one idempotency key. */
function withKey(key: string): Api {
  return apiOf(offline.cloud.url, { "x-project-id": "acme", "idempotency-key": key });
}

function announcement(bytes: Buffer) {
  return {
    name: "announced",
    vendor: "intel",
    type: "crypto",
    sha256: sha256Of(bytes),
    md5: md5Of(bytes),
    size: bytes.length,
  };
}

async function send({ upload }: CreatedImage, bytes: Buffer): Promise<number> {
  const { url, method, headers } = upload;
  const { "content-length": _length, ...others } = headers;
  const response = await fetch(url, { method, headers: others, body: Uint8Array.from(bytes) });
  await response.body?.cancel();
  return response.status;
}

test("a plain object with the mail's tags is an active image within a second", async () => {
  const bytes = gbs("crypto");
  const times: number[] = [];
  // The first one loads the function; of the others the best is not disturbed by other work.
  for (const name of ["warm-up", "one", "two", "three"]) {
    const began = Date.now();
    const { updatedAt } = await activeImage(offline, "acme", name);
    times.push(Date.parse(updatedAt) - began);
  }
  expect(Math.min(...times)).toBeLessThan(1000);
  await put(offline, "images/acme/sub/crypto.gbs", bytes, { tags: cryptoTags });
  const image = await judged(api, "images/acme/sub/crypto.gbs");
  expect(image).toMatchObject({
    state: "active",
    project: "acme",
    name: "sub/crypto.gbs",
    vendor: "intel",
    type: "crypto",
    visibility: "private",
    format: "gbs",
    size: bytes.length,
    sha256: sha256Of(bytes),
    md5: md5Of(bytes),
    interfaceId: intelRegion,
    functionId: functionOf("crypto"),
  });
  expect(image.traits).toEqual(
    expect.arrayContaining(["CUSTOM_ACCELERATOR_CRYPTO", "CUSTOM_HW_CRYPTO"]),
  );
});

test("metadata of the same names counts as tags do, and tags win over it", async () => {
  const metadata = { FPGA: "true", Vendor: "altera", type: "dsp", visibility: "public" };
  const key = "images/acme/metadata.gbs";
  await put(offline, key, gbs("metadata"), { metadata, tags: { type: "fft" } });
  expect(await judged(api, key)).toMatchObject({
    state: "active",
    vendor: "intel",
    type: "fft",
    visibility: "public",
  });
});

test("tags that come after the object complete it", async () => {
  const key = "images/acme/later.gbs";
  await put(offline, key, gbs("later"), { tags: { FPGA: "true", vendor: "intel" } });
  const waiting = await imageWhen(api, key, ({ state }) => state === "pending");
  expect(waiting.reason).toMatchObject({ message: "waiting for the tag type" });
  await tag(offline, key, cryptoTags);
  const image = await judged(api, key);
  expect(image).toMatchObject({ id: waiting.id, state: "active", type: "crypto" });
  expect(image.reason).toBeUndefined();
});

test("an object becomes an image only when it is tagged, also long after it was put", async () => {
  const key = "images/acme/untagged.gbs";
  await put(offline, key, gbs("untagged"));
  await put(offline, "images/acme/no.gbs", gbs("no"), { tags: { ...cryptoTags, FPGA: "false" } });
  await activeImage(offline, "acme", "after-untagged");
  expect(await imagesAt(api, key)).toEqual([]);
  expect(await imagesAt(api, "images/acme/no.gbs")).toEqual([]);
  await tag(offline, key, cryptoTags);
  expect(await judged(api, key)).toMatchObject({ state: "active" });
});

test("an announced upload takes the announced bytes only, and happens once per key", async () => {
  const bytes = gbs("announced");
  const first = await withKey("k1")<CreatedImage>("POST", "/v1/images", announcement(bytes));
  expect(first.image).toMatchObject({ state: "pending", project: "acme" });
  const replay = await withKey("k1")<CreatedImage>("POST", "/v1/images", announcement(bytes));
  expect(replay.image.id).toBe(first.image.id);
  const other = { ...announcement(bytes), type: "dsp" };
  const mismatch = await problemOf(withKey("k1")("POST", "/v1/images", other));
  expect(mismatch).toMatchObject({ code: "IDEMPOTENCY_MISMATCH", status: 422 });

  const sameSize = Buffer.from(bytes).fill(1, 900, 950);
  expect(await send(first, sameSize)).toBe(400);
  expect(await send(first, gbs("announced", 100))).toBe(403);
  expect(await api<ImageView>("GET", `/v1/images/${first.image.id}`)).toMatchObject({
    state: "pending",
  });
  expect(await send(replay, bytes)).toBe(200);
  expect(await judged(api, first.image.objectKey)).toMatchObject({
    id: first.image.id,
    state: "active",
    sha256: sha256Of(bytes),
  });
  const late = await withKey("k1")<CreatedImage>("POST", "/v1/images", announcement(bytes));
  expect(late.image).toMatchObject({ id: first.image.id, state: "active" });
});

test("another project's private image is unknown, a shared one is not", async () => {
  const image = await activeImage(offline, "acme", "secret");
  const shared = await activeImage(offline, "acme", "shared", { visibility: "shared" });
  const stranger = offline.as("stranger", "member");
  for (const call of [
    stranger("GET", `/v1/images/${image.id}`),
    stranger("DELETE", `/v1/images/${image.id}`),
    stranger("POST", "/v1/claims", { image: image.id }),
  ]) {
    expect(await problemOf(call)).toMatchObject({ code: "UNKNOWN_IMAGE", status: 404 });
  }
  const { items } = await stranger<{ items: ImageView[] }>("GET", "/v1/images?limit=200");
  expect(items.map(({ id }) => id)).toContain(shared.id);
  expect(items.map(({ id }) => id)).not.toContain(image.id);
  const denied = await problemOf(stranger("DELETE", `/v1/images/${shared.id}`));
  expect(denied).toMatchObject({ code: "FORBIDDEN" });
});

test("a retired image is not granted any more, by id or by type, and stays retired", async () => {
  const older = await activeImage(offline, "acme", "older", { type: "aging" });
  const newer = await activeImage(offline, "acme", "newer", { type: "aging" });
  await offered(api, 2);
  const spoken = await claimOne(context(), { type: "aging" });
  expect(spoken.image).toBe(newer.id);
  await api("DELETE", `/v1/claims/${spoken.id}`);
  const retired = await api<ImageView>("DELETE", `/v1/images/${newer.id}`);
  expect(retired.state).toBe("retired");
  expect(await api("DELETE", `/v1/images/${newer.id}`)).toMatchObject({ state: "retired" });
  const byId = await problemOf(api("POST", "/v1/claims", { image: newer.id }));
  expect(byId).toMatchObject({ code: "IMAGE_NOT_ACTIVE", field: "image" });
  const byType = await claimOne(context(), { type: "aging" });
  expect(byType.image).toBe(older.id);
  await api("DELETE", `/v1/claims/${byType.id}`);
  await api("DELETE", `/v1/images/${older.id}`);
  const none = await problemOf(api("POST", "/v1/claims", { type: "aging" }));
  expect(none).toMatchObject({ code: "UNKNOWN_TYPE", field: "type" });
  await tag(offline, "images/acme/newer.gbs", { ...cryptoTags, type: "aging" });
  await activeImage(offline, "acme", "after-retired");
  expect(await api("GET", `/v1/images/${newer.id}`)).toMatchObject({ state: "retired" });
});

test("an object replaced after its verification leaves the verified bytes to the agents", async () => {
  const key = "images/acme/replaced.gbs";
  const [first, second] = [gbs("replaced-1"), gbs("replaced-2")];
  await put(offline, key, first, { tags: cryptoTags });
  const image = await judged(api, key);
  await put(offline, key, second, { tags: cryptoTags });
  const newer = await judged(api, key, 2);
  expect(newer.id).not.toBe(image.id);
  expect(await api("GET", `/v1/images/${image.id}`)).toMatchObject({ sha256: sha256Of(first) });
  await offered(api, 2);
  const claim = await claimOne(context(), { image: image.id });
  await bound(context(), claim.id);
  const card = await api<DeployableView>("GET", `/v1/deployables/${claim.deployable}`);
  expect(card.loaded).toMatchObject({
    sha256: sha256Of(first),
    functionId: functionOf("replaced-1"),
  });
  await api<ClaimView>("DELETE", `/v1/claims/${claim.id}`);
});

test("an object overwritten during its verification is judged by the bytes that were read", async () => {
  const key = "images/acme/overwritten.gbs";
  const [first, second] = [gbs("overwritten-1"), gbs("overwritten-2")];
  const store = storeFrom(offline.cloud.environment);
  const real = bucketFrom(offline.cloud.environment);
  const overwriting = hooked(real, {
    facts: async (...at) => {
      const facts = await real.facts(...at);
      return facts && { ...facts, tags: cryptoTags };
    },
    pin: async (from, to) => {
      await put(offline, key, second, { tags: cryptoTags });
      return await real.pin(from, to);
    },
  });
  const version = await put(offline, key, first);
  const settings = settingsFrom(offline.cloud.environment);
  const image = await ingest({ store, bucket: overwriting, settings }, { key, version });
  expect(image).toMatchObject({ state: "active", sha256: sha256Of(first) });
  const pinned = await offline.s3.send(
    new GetObjectCommand({
      Bucket: offline.cloud.bucket,
      Key: image?.verifiedKey,
      VersionId: image?.verifiedVersion,
    }),
  );
  expect(Buffer.from((await pinned.Body?.transformToByteArray()) ?? [])).toEqual(first);
  const newer = await judged(api, key, 2);
  expect(newer).toMatchObject({ state: "active", sha256: sha256Of(second) });
  expect(await readImage(store, image?.id ?? "")).toMatchObject({ state: "active" });
});

test("twenty uploads at once are twenty active images", async () => {
  const names = Array.from({ length: 20 }, (_, index) => `many-${index}`);
  const images = await Promise.all(
    names.map(async (name) => await activeImage(offline, "acme", name)),
  );
  expect(new Set(images.map(({ id }) => id)).size).toBe(20);
  expect(images.map(({ functionId }) => functionId)).toEqual(names.map(functionOf));
});

test("the same bytes under two names at once are two images of one content", async () => {
  const bytes = gbs("twin");
  const keys = ["images/acme/twin-a.gbs", "images/acme/twin-b.gbs"];
  await Promise.all(keys.map(async (key) => await put(offline, key, bytes, { tags: cryptoTags })));
  const [a, b] = await Promise.all(keys.map(async (key) => await judged(api, key)));
  expect([a?.state, b?.state]).toEqual(["active", "active"]);
  expect(a?.sha256).toBe(b?.sha256);
  expect(a?.id).not.toBe(b?.id);
});

function context() {
  const { s3, cloud } = offline;
  return { api, s3, bucket: cloud.bucket, project: "acme", say: () => undefined };
}
