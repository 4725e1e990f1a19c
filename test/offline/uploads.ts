import { createHash } from "node:crypto";
import { PutObjectCommand, PutObjectTaggingCommand } from "@aws-sdk/client-s3";
import type { ImageView } from "#protocol/http/images";
import { encodeGbs } from "#protocol/images/encode-gbs";
import { uuidOf } from "#protocol/uuid";
import { dflCard } from "../../agent/host/memory-kernel/cards.ts";
import type { Bucket } from "../../functions/parts/bucket.ts";
import { type Api, ApiError } from "../../localstack/hosts/api.ts";
import { until } from "../../localstack/tour/steps.ts";
import type { Offline } from "./support.ts";

/** The region of every simulated Intel card. */
export const intelRegion: string = dflCard(0).interfaceId;

/** A GBS for the simulated Intel cards; another name is another image with another function. */
export function gbs(name: string, size = 20_000): Buffer {
  const block = createHash("sha256").update(name).digest();
  return encodeGbs({
    interfaceId: intelRegion,
    functionId: functionOf(name),
    name,
    payload: Buffer.alloc(size, block),
  });
}

/** The function that {@link gbs} gives an image of this name. */
export function functionOf(name: string): string {
  return uuidOf("function", name);
}

/** What is said about an object when it is put. */
export interface Said {
  readonly tags?: Readonly<Record<string, string>>;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The tags the mail asks for. */
export const cryptoTags = { FPGA: "true", vendor: "intel", type: "crypto" };

/** Puts an object as any SDK client does; answers its version. */
export async function put(
  { s3, cloud }: Offline,
  key: string,
  body: Buffer | string,
  { tags, metadata }: Said = {},
): Promise<string> {
  const answer = await s3.send(
    new PutObjectCommand({
      Bucket: cloud.bucket,
      Key: key,
      Body: body,
      ...(tags === undefined ? {} : { Tagging: new URLSearchParams(tags).toString() }),
      ...(metadata === undefined ? {} : { Metadata: { ...metadata } }),
    }),
  );
  return answer.VersionId ?? "";
}

/** Images of a key, newest first. */
export async function imagesAt(api: Api, key: string): Promise<readonly ImageView[]> {
  const { items } = await api<{ items: ImageView[] }>("GET", "/v1/images?limit=200");
  return items
    .filter((image) => image.objectKey === key)
    .toSorted((a, b) => b.createdAt.localeCompare(a.createdAt));
}

/** Waits until `count` images of a key fulfil a wish, and answers the newest of them. */
export async function imageWhen(
  api: Api,
  key: string,
  wish: (image: ImageView) => boolean,
  count = 1,
): Promise<ImageView> {
  return await until(`${count} image of ${key}`, async () => {
    const found = (await imagesAt(api, key)).filter(wish);
    return found.length >= count ? found[0] : undefined;
  });
}

/** Waits for the verdict on `count` images of a key; answers the newest. */
export async function judged(api: Api, key: string, count = 1): Promise<ImageView> {
  const isJudged = ({ state }: ImageView) => state === "active" || state === "rejected";
  return await imageWhen(api, key, isJudged, count);
}

/** Puts an image of the mail's kind and waits until it is active. */
export async function activeImage(
  offline: Offline,
  project: string,
  name: string,
  tags: Readonly<Record<string, string>> = {},
): Promise<ImageView> {
  const key = `images/${project}/${name}.gbs`;
  await put(offline, key, gbs(name), { tags: { ...cryptoTags, ...tags } });
  const image = await judged(offline.as(project), key);
  if (image.state === "active") return image;
  throw new Error(`rejected: ${image.reason?.code ?? ""} ${image.reason?.message ?? ""}`);
}

/** The problem document with which a call is refused. */
export async function problemOf(call: Promise<unknown>): Promise<ApiError["problem"]> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ApiError) return error.problem;
    throw error;
  }
  throw new Error("this had to be refused");
}

export const sha256Of = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
export const md5Of = (bytes: Buffer) => createHash("md5").update(bytes).digest("hex");

/** Replaces an object's tags. */
export async function tag(
  { s3, cloud }: Offline,
  key: string,
  tags: Readonly<Record<string, string>>,
): Promise<void> {
  const TagSet = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  const where = { Bucket: cloud.bucket, Key: key };
  await s3.send(new PutObjectTaggingCommand({ ...where, Tagging: { TagSet } }));
}

/** A bucket of which some calls go another way. */
export function hooked(real: Bucket, hooks: Partial<Bucket>): Bucket {
  return {
    facts: async (...at) => await real.facts(...at),
    read: async (...at) => await real.read(...at),
    pin: async (...at) => await real.pin(...at),
    presignGet: async (...at) => await real.presignGet(...at),
    presignPut: async (...at) => await real.presignPut(...at),
    ...hooks,
  };
}
