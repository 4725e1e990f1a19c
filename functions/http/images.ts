import { Fault } from "#domain/faults";
import { type Image, isVisible } from "#domain/image";
import { imageLifecycle, next } from "#domain/lifecycle";
import { imageRoutes } from "#protocol/http/image-routes";
import type { CreateImage } from "#protocol/http/images";
import { checkManifest } from "#protocol/images/manifest";
import { canonicalVendor } from "#protocol/images/metadata";
import { uuidOf } from "#protocol/uuid";
import { recall, rememberOnce } from "#store/idempotency";
import { addImage, changeImage, listImages, readImage, visibleImage } from "#store/images";
import type { Wanted } from "#store/lists";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { ingest } from "../ingest/ingest.ts";
import { type Bucket, bucketFrom } from "../parts/bucket.ts";
import { openstackSettingsFrom } from "../parts/openstack.ts";
import { type Settings, settingsFrom } from "../parts/settings.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";
import { imageView, timeOf } from "./views.ts";

/** What the image routes work with. */
export interface Images {
  readonly store: Store;
  readonly bucket: Bucket;
  readonly settings: Pick<Settings, "signaturePolicy" | "maxImageBytes">;
  readonly registers?: boolean;
}

/** A presigned upload is good for this long. */
const uploadSeconds = 900;

interface ImageFilter extends Wanted {
  readonly state?: string;
  readonly type?: string;
  readonly vendor?: string;
}

async function create(images: Images, call: Call<CreateImage>): Promise<Answer> {
  const { store, bucket, settings } = images;
  const { body } = call;
  if (body.size > settings.maxImageBytes) {
    throw new Fault("IMAGE_TOO_LARGE", `size: at most ${settings.maxImageBytes} bytes`, {
      field: "size",
      expected: `at most ${settings.maxImageBytes}`,
    });
  }
  const image = await announceOnce(store, call);
  const tags = new URLSearchParams({ FPGA: "true", vendor: body.vendor, type: body.type });
  const upload = { sha256: body.sha256, size: body.size, tags: tags.toString() };
  const request = await bucket.presignPut(image.objectKey, upload, uploadSeconds);
  const expiresAt = timeOf(store.now() + uploadSeconds * 1000);
  return { body: { image: imageView(image), upload: { method: "PUT", ...request, expiresAt } } };
}

/** The same request again names the same image and gets a fresh presigned upload. */
async function announceOnce(store: Store, call: Call<CreateImage>): Promise<Image> {
  const { once } = call;
  const fresh = announced(call, uuidOf("image", once.id, once.body), store.now());
  const writes = [addImage(fresh), rememberOnce(once, { image: fresh.id }, store.now())];
  if ((await store.table.write(writes)).ok) return fresh;
  const known = await recall<{ readonly image: string }>(store, once);
  // Without memory of the request, its image is still the one such a request makes.
  const image = await readImage(store, known?.image ?? fresh.id);
  if (image === undefined) throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
  return image;
}

function announced({ caller, body }: Call<CreateImage>, id: string, now: number): Image {
  const md5 = body.md5 === undefined ? {} : { md5: body.md5 };
  return {
    id,
    project: caller.project,
    name: body.name,
    vendor: knownVendor(body.vendor),
    type: body.type,
    visibility: body.visibility ?? "private",
    state: "pending",
    objectKey: `images/${caller.project}/${id}`,
    expected: { sha256: body.sha256, size: body.size, ...md5 },
    manifest: body.manifest === undefined ? undefined : checkManifest(body.manifest),
    createdAt: now,
    updatedAt: now,
    revision: 0,
  };
}

/** One name per maker, so that traits and resource classes agree with what hosts report. */
function knownVendor(name: string): string {
  const vendor = canonicalVendor(name);
  if (vendor === undefined) {
    throw new Fault("INVALID_REQUEST", "vendor: expected intel, altera, xilinx or amd", {
      field: "vendor",
      expected: "intel, altera, xilinx or amd",
    });
  }
  return vendor;
}

async function list({ store }: Images, call: Call<unknown, ImageFilter>): Promise<Answer> {
  const { project, isAdmin } = call.caller;
  const { state, type, vendor } = call.query;
  const keep = (image: Image) =>
    isVisible(image, project, isAdmin) &&
    (state === undefined || image.state === state) &&
    (type === undefined || image.type === type) &&
    (vendor === undefined || image.vendor === canonicalVendor(vendor));
  const page = await listImages(store, keep, call.query);
  return { body: { items: page.items.map(imageView), next: page.next } };
}

/** The caller's own image; what it only may see it may not change. */
async function ownImage(store: Store, call: Call): Promise<Image> {
  const image = await visibleImage(store, call.path["image"] ?? "", call.caller);
  if (image.project !== call.caller.project && !call.caller.isAdmin) {
    throw new Fault("FORBIDDEN", "only its own project changes an image", { field: "image" });
  }
  return image;
}

async function retire({ store }: Images, call: Call): Promise<Answer> {
  const { id } = await ownImage(store, call);
  const retired = await changeImage(store, id, (image) => {
    const state = next(imageLifecycle, image.state, "retire");
    return state === undefined ? image : { ...image, state, updatedAt: store.now() };
  });
  return { body: imageView(retired) };
}

/** Judges the image by this signature; the answer is its state after that. */
async function sign(images: Images, call: Call<{ readonly manifest: unknown }>): Promise<Answer> {
  const { store } = images;
  const { id, objectKey } = await ownImage(store, call);
  const manifest = checkManifest(call.body.manifest);
  // Kept for the upload to come; later only a judgement says what an image is signed by.
  const known = await changeImage(store, id, (image) =>
    image.state === "pending" ? { ...image, manifest, updatedAt: store.now() } : image,
  );
  await ingest(images, { key: objectKey, version: known.objectVersion }, manifest);
  return { body: imageView((await readImage(store, id)) ?? known) };
}

/** The image routes over given parts. */
export function imagesFunction(images: Images) {
  const { store } = images;
  return httpFunction(imageRoutes, {
    createImage: handle(async (call: Call<CreateImage>) => await create(images, call)),
    listImages: handle(async (call: Call<unknown, ImageFilter>) => await list(images, call)),
    getImage: handle(async (call: Call) => ({
      body: imageView(await visibleImage(store, call.path["image"] ?? "", call.caller)),
    })),
    retireImage: handle(async (call: Call) => await retire(images, call)),
    signImage: handle(
      async (call: Call<{ readonly manifest: unknown }>) => await sign(images, call),
    ),
  });
}

const build: Create = (environment) =>
  imagesFunction({
    store: storeFrom(environment),
    bucket: bucketFrom(environment),
    settings: settingsFrom(environment),
    registers: openstackSettingsFrom(environment).glance === "write",
  });

export { build as create };
export const handler = entry(build);
