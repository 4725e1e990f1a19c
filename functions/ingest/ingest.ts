import { Fault, faults, isFault } from "#domain/faults";
import type { Image, SignedManifest } from "#domain/image";
import { judgementAt } from "#domain/judgement";
import { imageLifecycle, next } from "#domain/lifecycle";
import { type ImageDigest, imageDigest } from "#protocol/images/digest";
import type { ImageHeader } from "#protocol/images/header";
import { judgeImage, type SaidOfImage } from "#protocol/images/judge";
import { checkManifest } from "#protocol/images/manifest";
import { checkMetadata, type ImageMetadata } from "#protocol/images/metadata";
import { changeImage } from "#store/images";
import type { Store } from "#store/store";
import type { Bucket, ObjectFacts } from "../parts/bucket.ts";
import type { Settings } from "../parts/settings.ts";
import { findOrAnnounce, isWaiting, type Upload } from "./announce.ts";
import { manifestBeside, proveSignature } from "./signature.ts";

/** What judging needs of the bucket. */
export interface IngestBucket extends Pick<Bucket, "facts" | "pin"> {
  read(key: string, version?: string): Promise<AsyncIterable<Uint8Array>>;
}

/** What judging an upload needs. */
export interface Ingesting {
  readonly store: Store;
  readonly bucket: IngestBucket;
  readonly settings: Pick<Settings, "signaturePolicy" | "maxImageBytes">;
  /** True: Glance is to know the images that were uploaded here. */
  readonly registers?: boolean;
}

/**
 * Judges an uploaded object and makes its image `active` or `rejected` with the reason (design §8):
 * digest while streaming, header, metadata against header, signature, then a pinned copy under the
 * sha256. The same object again changes nothing. An object that is no FPGA image is passed over.
 * `given` is a signature that came without a file beside the object. Throws only what is worth
 * another try, and why a given signature is not taken for an image that has a proven one.
 */
export async function ingest(
  ingesting: Ingesting,
  object: { readonly key: string; readonly version?: string | undefined },
  given?: SignedManifest,
): Promise<Image | undefined> {
  const { bucket, store } = ingesting;
  const facts = await bucket.facts(object.key, object.version);
  if (facts === undefined) return undefined;
  const upload: Upload = { key: object.key, facts };
  const image = await findOrAnnounce(store, upload);
  if (image === undefined) return undefined;
  const newest = given ?? (await manifestBeside(bucket, object.key));
  const begun = await begin(store, image, facts, newest ?? image.manifest);
  if (begun === undefined) return image;
  try {
    return await accept(ingesting, begun, await factsToJudge(bucket, begun.image, facts));
  } catch (error) {
    if (!isVerdict(error)) throw error;
    if (!isProven(begun.image)) return await refuse(store, begun.image, error);
    if (given !== undefined) throw error;
    return begun.image;
  }
}

/** A fault about the image. One of ours, such as a table that does not answer, says nothing of it. */
function isVerdict(error: unknown): error is Fault {
  return isFault(error) && faults[error.code].status < 500;
}

/** An image as its judgement found it, with the signature it is judged by. */
interface Judgement {
  readonly image: Image;
  readonly manifest: SignedManifest | undefined;
}

/** Moves an image to `verifying`; undefined when there is nothing to judge (again). */
async function begin(
  store: Store,
  image: Image,
  facts: ObjectFacts,
  manifest: SignedManifest | undefined,
): Promise<Judgement | undefined> {
  if (image.state === "active") {
    return isOtherSignature(image, manifest) ? { image, manifest } : undefined;
  }
  let isBegun = false;
  // By now it may have been retired, or judged by another event.
  const begun = await changeImage(store, image.id, (known) => {
    const state = isWaiting(known) ? undefined : stateToJudge(known, manifest);
    isBegun = state !== undefined;
    if (state === undefined) return known;
    return {
      ...known,
      state,
      manifest,
      reason: undefined,
      size: facts.size,
      objectVersion: facts.version,
      judgement: judgementAt(store.now(), known.judgement?.tries),
      updatedAt: store.now(),
    };
  });
  return isBegun ? { image: begun, manifest } : undefined;
}

function isOtherSignature(image: Image, manifest: SignedManifest | undefined): boolean {
  return manifest !== undefined && manifest.signature !== image.manifest?.signature;
}

/** Refusals that another signature may heal; the bytes of an object version never get better. */
const healedBySignature: ReadonlySet<string> = new Set([
  "SIGNATURE_REQUIRED",
  "SIGNATURE_INVALID",
  "SIGNATURE_EXPIRED",
  "KEY_REVOKED",
  "IMAGE_METADATA_MISMATCH",
  // A statement may say that it is raw.
  "IMAGE_FORMAT_UNKNOWN",
]);

function stateToJudge(
  image: Image,
  manifest: SignedManifest | undefined,
): Image["state"] | undefined {
  if (image.state !== "rejected") return next(imageLifecycle, image.state, "uploaded");
  if (image.reason?.code === "IMAGE_UNJUDGED") return next(imageLifecycle, image.state, "again");
  return healedBySignature.has(image.reason?.code ?? "") && isOtherSignature(image, manifest)
    ? next(imageLifecycle, image.state, "signed")
    : undefined;
}

/** A signature that does not verify takes nothing from an image with one that does. */
function isProven({ state, manifest }: Image): boolean {
  return state === "active" && manifest !== undefined;
}

/** An active image stands for the version it was judged by, whatever its key holds by now. */
async function factsToJudge(
  bucket: IngestBucket,
  { state, objectKey, objectVersion }: Image,
  newest: ObjectFacts,
): Promise<ObjectFacts> {
  if (state !== "active" || objectVersion === newest.version) return newest;
  return (await bucket.facts(objectKey, objectVersion)) ?? newest;
}

async function accept(
  ingesting: Ingesting,
  { image, manifest }: Judgement,
  facts: ObjectFacts,
): Promise<Image> {
  const digest = await digestOf(ingesting, image, facts);
  const { sha256, md5, size } = digest;
  checkExpected(image, digest);
  const header = headerOf({ image, manifest }, digest, saidIds(facts, image));
  const { format, functionId, interfaceId } = header;
  const proven = { sha256, size, vendor: image.vendor, type: image.type, format, functionId };
  const withRegion = interfaceId === undefined ? proven : { ...proven, interfaceId };
  await proveSignature(ingesting, manifest, withRegion);
  const verifiedKey = `verified/${sha256}`;
  const from = { key: image.objectKey, version: facts.version, etag: facts.etag };
  const verifiedVersion = await ingesting.bucket.pin(from, verifiedKey);
  const known = { sha256, md5, size, format, functionId, interfaceId };
  return await settle(ingesting.store, image, "accepted", {
    ...known,
    verifiedKey,
    verifiedVersion,
    manifest,
    reason: undefined,
    ...(ingesting.registers === true && toRegister(image, ingesting.store.now())),
  });
}

/** The obligation stands with the image before anybody asks Glance. */
function toRegister({ glance, registration }: Image, now: number): Partial<Image> {
  if (glance !== undefined || registration !== undefined) return {};
  return { registration: { dueAt: now, tries: 0 } };
}

async function refuse(store: Store, image: Image, { code, message }: Fault): Promise<Image> {
  return await settle(store, image, "refused", { reason: { code, message } });
}

async function digestOf(
  { bucket, settings }: Ingesting,
  image: Image,
  facts: ObjectFacts,
): Promise<ImageDigest> {
  const digester = imageDigest(settings.maxImageBytes);
  if (facts.size > settings.maxImageBytes) {
    throw new Fault("IMAGE_TOO_LARGE", `at most ${settings.maxImageBytes} bytes`);
  }
  const body = await bucket.read(image.objectKey, facts.version);
  for await (const chunk of body) digester.update(chunk);
  const digest = digester.final();
  if (digest.size !== facts.size) {
    throw new Fault("IMAGE_TRUNCATED", `${digest.size} of ${facts.size} bytes could be read`);
  }
  return digest;
}

/** What was accepted once stays: another statement may not turn an active image into another one. */
function headerOf(
  { image, manifest }: Judgement,
  { head, size }: ImageDigest,
  said: SaidIds,
): ImageHeader {
  const statement = manifest === undefined ? undefined : checkManifest(manifest).statement;
  const header = judgeImage({ head, size }, { ...said, statement } satisfies SaidOfImage);
  checkMetadata(header, { vendor: image.vendor, type: image.type, ...said });
  if (image.state !== "active") return header;
  const { functionId, interfaceId } = image;
  checkMetadata(header, {
    ...(functionId !== undefined && { functionId }),
    ...(interfaceId !== undefined && { interfaceId }),
  });
  return header;
}

function checkExpected(image: Image, digest: ImageDigest): void {
  for (const fact of ["sha256", "md5", "size"] as const) {
    const expected = image.expected?.[fact];
    if (expected !== undefined && expected !== digest[fact]) {
      throw new Fault("IMAGE_CORRUPT", `${fact} is ${digest[fact]}, announced was ${expected}`, {
        field: fact,
        expected: String(expected),
      });
    }
  }
}

type SaidIds = Pick<ImageMetadata, "format" | "interfaceId" | "functionId">;

/**
 * Format and ids the uploader claims in metadata or tags, under the names of docs/images.md; of an
 * image of Glance, in its properties.
 */
function saidIds({ metadata, tags }: ObjectFacts, { glance }: Image): SaidIds {
  const said = { ...metadata, ...tags };
  const format = glance?.said.format ?? said["format"];
  const interfaceId = glance?.said.interfaceId ?? said["interface-id"];
  const functionId = glance?.said.functionId ?? said["function-id"];
  return {
    ...(format === undefined ? {} : { format }),
    ...(interfaceId === undefined ? {} : { interfaceId }),
    ...(functionId === undefined ? {} : { functionId }),
  };
}

/**
 * The end of a judgement. It says nothing of an image that changed meanwhile: that was retired, whose
 * key was revoked, or that is being judged by a newer signature.
 */
async function settle(
  store: Store,
  image: Image,
  event: "accepted" | "refused",
  facts: Partial<Image>,
): Promise<Image> {
  return await changeImage(store, image.id, (known) => {
    if (known.revision !== image.revision) return known;
    const state = isAccepted(known, event) ? "active" : next(imageLifecycle, known.state, event);
    return state === undefined
      ? known
      : { ...known, ...facts, state, judgement: undefined, updatedAt: store.now() };
  });
}

function isAccepted({ state }: Image, event: "accepted" | "refused"): boolean {
  return state === "active" && event === "accepted";
}
