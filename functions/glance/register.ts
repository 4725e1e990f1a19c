import { Readable } from "node:stream";
import { Fault, isFault } from "#domain/faults";
import { glanceDue, wishFor } from "#domain/glance";
import type { Registration, Told } from "#domain/glance-link";
import { type Image, isActive } from "#domain/image";
import type { OpenStack } from "#openstack/cloud";
import {
  actOnImage,
  createImage,
  deleteImage,
  type GlanceImage,
  getImage,
  type NewImage,
  uploadImage,
} from "#openstack/glance";
import { allImages, changeImage } from "#store/images";
import type { Store } from "#store/store";
import type { Bucket } from "../parts/bucket.ts";
import { fpgaTag } from "./read.ts";

/** What making our images known in Glance needs. */
export interface Registering {
  readonly store: Store;
  readonly openstack: OpenStack;
  readonly bucket: Pick<Bucket, "read">;
}

/** First wait after a try that failed, doubled each time up to the longest, in ms. */
const againMs = { first: 30_000, longest: 3_600_000 };
/** So long one try may take before another may begin, in ms. */
const tryMs = 300_000;

/** Glance will never take the image as it is. */
class Refused extends Error {}

/** Owes Glance every active image of ours that it was never told of, as when this was just turned on. */
export async function oweRegistrations({ store }: Pick<Registering, "store">): Promise<number> {
  const untold = await allImages(store, isUntold);
  for (const { id } of untold) {
    await changeImage(store, id, (image) =>
      isUntold(image) ? { ...image, registration: { dueAt: store.now(), tries: 0 } } : image,
    );
  }
  return untold.length;
}

function isUntold({ state, glance, registration }: Image): boolean {
  return state === "active" && glance === undefined && registration === undefined;
}

/**
 * Tells Glance what became of an image of ours: there with its bytes while it is active, deactivated
 * while it is rejected, deleted once it is retired. The image's id is the same there, so each step may
 * be repeated after a crash. True when something was due.
 */
export async function register(registering: Registering, id: string): Promise<boolean> {
  const { store } = registering;
  const image = await beginTry(store, id);
  const wish = image === undefined ? undefined : wishFor(image);
  if (image === undefined || wish === undefined) return false;
  try {
    await steps[wish](registering, image);
    await note(store, id, { told: wish, tries: 1, problem: undefined });
  } catch (error) {
    if (!isFault(error) && !(error instanceof Refused)) throw error;
    const isRefused = error instanceof Refused ? true : undefined;
    const wait = againMs.first * 2 ** Math.min((image.registration?.tries ?? 1) - 1, 10);
    const dueAt = store.now() + Math.min(wait, againMs.longest);
    await note(store, id, { problem: error.message, isRefused, dueAt });
  }
  return true;
}

/** Counts the try before Glance is asked: from then on something of it may be there. */
async function beginTry(store: Store, id: string): Promise<Image | undefined> {
  let isMine = false;
  const image = await changeImage(store, id, (one) => {
    const { registration } = one;
    const dueAt = glanceDue(one);
    isMine = registration !== undefined && dueAt !== undefined && dueAt <= store.now();
    if (!isMine || registration === undefined) return one;
    const tries = registration.tries + 1;
    return { ...one, registration: { ...registration, tries, dueAt: store.now() + tryMs } };
  });
  return isMine ? image : undefined;
}

async function note(store: Store, id: string, news: Partial<Registration>): Promise<void> {
  await changeImage(store, id, (one) => {
    const { registration } = one;
    if (registration === undefined) return one;
    return { ...one, registration: { ...registration, dueAt: store.now(), ...news } };
  });
}

const steps: Readonly<Record<Told, (registering: Registering, image: Image) => Promise<void>>> = {
  active: offer,
  deactivated: withhold,
  deleted: remove,
};

async function offer(registering: Registering, image: Image): Promise<void> {
  const { openstack } = registering;
  const there = (await getImage(openstack, image.id)) ?? (await made(openstack, image));
  if (there.status === "queued") await fill(registering, image);
  else if (there.status === "active" || there.status === "deactivated") same(there, image);
  else throw new Fault("CONFLICT", `image ${image.id} is ${there.status} in Glance`);
  if (there.status === "deactivated") await actOnImage(openstack, image.id, "reactivate");
}

async function withhold({ openstack }: Registering, { id }: Image): Promise<void> {
  const there = await getImage(openstack, id);
  // One that never got its bytes can be used by nobody.
  if (there?.status === "active") await actOnImage(openstack, id, "deactivate");
}

async function remove({ openstack }: Registering, { id }: Image): Promise<void> {
  await deleteImage(openstack, id);
}

async function made(openstack: OpenStack, image: Image): Promise<GlanceImage> {
  const isNew = await createImage(openstack, describe(image));
  const there = await getImage(openstack, image.id);
  if (there !== undefined) return there;
  throw new Refused(
    isNew
      ? "Glance does not show what it took"
      : "this id was deleted in Glance, which forgets none",
  );
}

function describe(image: Image): NewImage {
  const { id, name, project, vendor, type, functionId, interfaceId, manifest } = image;
  const properties = {
    vendor,
    type,
    "accel:function_id": functionId,
    "accel:region_id": interfaceId,
    format: image.format,
    gatehouse_manifest: manifest === undefined ? undefined : JSON.stringify(manifest),
  };
  const said = Object.entries(properties).flatMap(([property, value]) =>
    value === undefined ? [] : [[property, value] as const],
  );
  return {
    id,
    name,
    owner: project,
    visibility: image.visibility === "shared" ? "community" : image.visibility,
    tags: [fpgaTag],
    properties: Object.fromEntries(said),
  };
}

async function fill({ openstack, bucket }: Registering, image: Image): Promise<void> {
  if (!isActive(image)) return;
  const body = await bucket.read(image.verifiedKey, image.verifiedVersion);
  try {
    await uploadImage(openstack, image.id, Readable.toWeb(body) as ReadableStream<Uint8Array>);
  } finally {
    body.destroy();
  }
  const there = await getImage(openstack, image.id);
  if (there !== undefined) same(there, image);
}

/** Bytes of an id never change there: others than ours stay others. */
function same({ checksum, size }: GlanceImage, { id, md5, size: ours }: Image): void {
  const isOther =
    (checksum !== undefined && checksum !== md5) || (size !== undefined && size !== ours);
  if (isOther) throw new Refused(`Glance has other bytes under the id ${id}`);
}
