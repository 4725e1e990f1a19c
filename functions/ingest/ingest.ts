import { Fault, isFault } from "#domain/faults";
import type { Image, SignedManifest } from "#domain/image";
import { imageLifecycle, next } from "#domain/lifecycle";
import { type ImageDigest, imageDigest } from "#protocol/images/digest";
import { type ImageHeader, readImageHeader } from "#protocol/images/header";
import { checkMetadata } from "#protocol/images/metadata";
import { changeImage } from "#store/images";
import type { Store } from "#store/store";
import type { Bucket, ObjectFacts } from "../parts/bucket.ts";
import type { Settings } from "../parts/settings.ts";
import { findOrAnnounce, type Upload } from "./announce.ts";
import { manifestBeside, proveSignature } from "./signature.ts";

/** What judging an upload needs. */
export interface Ingesting {
  readonly store: Store;
  readonly bucket: Bucket;
  readonly settings: Pick<Settings, "signaturePolicy" | "maxImageBytes">;
}

/** Facts that the bytes prove. */
interface Proven {
  readonly digest: ImageDigest;
  readonly header: ImageHeader;
}

/**
 * Judges an uploaded object and makes its image `active` or `rejected` with the reason (design §8):
 * digest while streaming, header, metadata against header, signature, then a pinned copy under the
 * sha256. The same object again changes nothing. An object that is no FPGA image is passed over.
 * Throws only what is worth another try.
 */
export async function ingest(
  ingesting: Ingesting,
  object: { readonly key: string; readonly version?: string | undefined },
): Promise<Image | undefined> {
  const facts = await ingesting.bucket.facts(object.key, object.version);
  if (facts === undefined) return undefined;
  const upload: Upload = { key: object.key, facts };
  const image = await findOrAnnounce(ingesting.store, upload);
  if (image === undefined) return undefined;
  const beside = await manifestBeside(ingesting.bucket, object.key);
  const begun = await begin(ingesting.store, image, facts, beside);
  if (begun === undefined) return image;
  try {
    return await accept(ingesting, begun, facts);
  } catch (error) {
    if (!isFault(error)) throw error;
    return await settle(ingesting.store, begun, "refused", {
      reason: { code: error.code, message: error.message },
    });
  }
}

/** Moves an image to `verifying`; undefined when there is nothing to judge (again). */
async function begin(
  store: Store,
  image: Image,
  facts: ObjectFacts,
  beside: SignedManifest | undefined,
): Promise<Image | undefined> {
  const manifest = beside ?? image.manifest;
  if (image.state === "active") {
    return manifest?.signature === image.manifest?.signature ? undefined : { ...image, manifest };
  }
  const state = isWaiting(image) ? undefined : stateToJudge(image, manifest);
  if (state === undefined) return undefined;
  return await changeImage(store, image.id, (known) => ({
    ...known,
    state,
    manifest,
    reason: undefined,
    size: facts.size,
    objectVersion: facts.version,
    updatedAt: store.now(),
  }));
}

/** True while the tags that say what it is are missing. */
function isWaiting(image: Image): boolean {
  return image.state === "pending" && image.reason !== undefined;
}

function stateToJudge(
  image: Image,
  manifest: SignedManifest | undefined,
): Image["state"] | undefined {
  if (image.state !== "rejected") return next(imageLifecycle, image.state, "uploaded");
  const lackedSignature = image.reason?.code === "SIGNATURE_REQUIRED";
  return lackedSignature && manifest !== undefined
    ? next(imageLifecycle, image.state, "signed")
    : undefined;
}

async function accept(ingesting: Ingesting, image: Image, facts: ObjectFacts): Promise<Image> {
  const { digest, header } = await prove(ingesting, image, facts);
  const { sha256, md5, size } = digest;
  checkExpected(image, digest);
  const { format, functionId, interfaceId } = header;
  checkMetadata(header, { vendor: image.vendor, type: image.type, ...saidIds(facts) });
  const proven = { sha256, size, vendor: image.vendor, type: image.type, format, functionId };
  const withRegion = interfaceId === undefined ? proven : { ...proven, interfaceId };
  await proveSignature(ingesting, image.manifest, withRegion);
  const verifiedKey = `verified/${sha256}`;
  const from = { key: image.objectKey, version: facts.version, etag: facts.etag };
  const verifiedVersion = await ingesting.bucket.pin(from, verifiedKey);
  const known = { sha256, md5, size, format, functionId, interfaceId };
  return await settle(ingesting.store, image, "accepted", {
    ...known,
    verifiedKey,
    verifiedVersion,
    manifest: image.manifest,
  });
}

async function prove(
  { bucket, settings }: Ingesting,
  image: Image,
  facts: ObjectFacts,
): Promise<Proven> {
  const digester = imageDigest(settings.maxImageBytes);
  if (facts.size > settings.maxImageBytes) {
    throw new Fault("IMAGE_TOO_LARGE", `at most ${settings.maxImageBytes} bytes`);
  }
  const body = await bucket.read(image.objectKey, facts.version);
  for await (const chunk of body) digester.update(chunk as Uint8Array);
  const digest = digester.final();
  if (digest.size !== facts.size) {
    throw new Fault("IMAGE_TRUNCATED", `${digest.size} of ${facts.size} bytes could be read`);
  }
  return { digest, header: readImageHeader(digest.head, digest.size) };
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

/** Ids the uploader claims in metadata or tags, under the names of docs/images.md. */
function saidIds({ metadata, tags }: ObjectFacts): { interfaceId?: string; functionId?: string } {
  const said = { ...metadata, ...tags };
  const interfaceId = said["interface-id"];
  const functionId = said["function-id"];
  return {
    ...(interfaceId === undefined ? {} : { interfaceId }),
    ...(functionId === undefined ? {} : { functionId }),
  };
}

/** The end of a judgement; an image that was retired or revoked meanwhile stays so. */
async function settle(
  store: Store,
  image: Image,
  event: "accepted" | "refused",
  facts: Partial<Image>,
): Promise<Image> {
  return await changeImage(store, image.id, (known) => {
    const state =
      known.state === "active" && event === "accepted"
        ? "active"
        : next(imageLifecycle, known.state, event);
    return state === undefined ? known : { ...known, ...facts, state, updatedAt: store.now() };
  });
}
