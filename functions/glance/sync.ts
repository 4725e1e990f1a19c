import { isFault } from "#domain/faults";
import {
  followGlance,
  type GlanceFacts,
  imageFromGlance,
  isOnItsWay,
  lostInGlance,
} from "#domain/glance";
import type { Image } from "#domain/image";
import type { OpenStack } from "#openstack/cloud";
import { type GlanceImage, getImage, taggedImages } from "#openstack/glance";
import { type GlanceCursor, moveGlanceCursor, readGlanceCursor } from "#store/glance";
import { addImage, allImages, changeImage, readImage } from "#store/images";
import type { Store } from "#store/store";
import { factsOf, fpgaTag, isOffered } from "./read.ts";

/** What following Glance needs. */
export interface Following {
  readonly store: Store;
  readonly openstack: OpenStack;
  /** Judges an image again because of a signature that Glance holds for it. */
  readonly judge: (image: Image, manifest?: Image["manifest"]) => Promise<unknown>;
  readonly log: (message: string) => void;
  /** Images of one page of a list. */
  readonly pageSize: number;
}

/** What one look changed. */
export interface Followed {
  readonly seen: number;
  readonly added: number;
  readonly changed: number;
  /** All images were looked at, not only those that changed. */
  readonly compared: boolean;
}

/**
 * Changes that were under way while newer ones were seen, and clocks of several Glance processes,
 * make an image appear in the past; so long is looked back, in ms. What was seen before costs a read.
 */
const overlapMs = 60_000;

/** All images are compared this often: a list of changes tells nothing of what was deleted. */
export const compareEveryMs: number = 5 * 60_000;

/**
 * Follows the images tagged `FPGA`: those that changed since the last look, and from time to time all
 * of them. The cursor moves once everything before it is in the table, so a look that ends early is
 * repeated. OPENSTACK_UNAVAILABLE.
 */
export async function followImages(following: Following): Promise<Followed> {
  const { store } = following;
  const cursor = await readGlanceCursor(store);
  const now = store.now();
  return cursor === undefined || now - cursor.comparedAt >= compareEveryMs
    ? await compareAll(following, cursor, now)
    : await changedOnly(following, cursor);
}

async function changedOnly(following: Following, cursor: GlanceCursor): Promise<Followed> {
  const look = newLook(cursor);
  const { openstack, pageSize, store } = following;
  const wanted = { tag: fpgaTag, since: Math.max(0, cursor.since - overlapMs), pageSize };
  for await (const image of taggedImages(openstack, wanted)) {
    await take(following, look, image, await readImage(store, image.id));
  }
  if (look.since !== cursor.since) {
    await moveGlanceCursor(store, cursor, { ...cursor, since: look.since });
  }
  return { ...look.followed, compared: false };
}

async function compareAll(
  following: Following,
  cursor: GlanceCursor | undefined,
  now: number,
): Promise<Followed> {
  const { store, openstack, pageSize } = following;
  const look = newLook(cursor);
  const known = new Map<string, Image>();
  for (const image of await allImages(store, isFollowed)) known.set(image.id, image);
  for await (const image of taggedImages(openstack, { tag: fpgaTag, pageSize })) {
    const mine = known.get(image.id) ?? (await readImage(store, image.id));
    known.delete(image.id);
    await take(following, look, image, mine);
  }
  // No list proves that something is gone: it leaves out hidden images, and what we may not see.
  for (const image of known.values()) {
    const there = await getImage(openstack, image.id);
    if (there === undefined) await lose(following, look, image);
    else await take(following, look, there, image);
  }
  await moveGlanceCursor(store, cursor, { since: look.since, comparedAt: now });
  return { ...look.followed, compared: true };
}

function isFollowed(image: Image): boolean {
  return image.glance !== undefined && image.state !== "retired";
}

/** One look at Glance while it goes on. */
interface Look {
  since: number;
  readonly followed: { seen: number; added: number; changed: number };
}

const newLook = (cursor: GlanceCursor | undefined): Look => ({
  since: cursor?.since ?? 0,
  followed: { seen: 0, added: 0, changed: 0 },
});

async function take(
  following: Following,
  look: Look,
  image: GlanceImage,
  known: Image | undefined,
): Promise<void> {
  look.followed.seen += 1;
  look.since = Math.max(look.since, image.updatedAt);
  const facts = factsOf(image);
  if (facts === undefined) return;
  if (known === undefined) {
    if (isOffered(facts) && (await add(following, facts))) look.followed.added += 1;
    return;
  }
  if (followGlance(known, facts, 0) === known) return;
  await follow(following, known, facts);
  look.followed.changed += 1;
}

async function add({ store }: Following, facts: GlanceFacts): Promise<boolean> {
  return (await store.table.write([addImage(imageFromGlance(facts, store.now()))])).ok;
}

/** The signature comes first: should this end between the two, both are done again. */
async function follow(following: Following, known: Image, facts: GlanceFacts): Promise<void> {
  const { store } = following;
  const planned = followGlance(known, facts, store.now());
  if (!isOnItsWay(planned)) await takeSignature(following, planned, facts.manifest);
  await changeImage(store, facts.id, (one) => followGlance(one, facts, store.now()));
}

async function takeSignature(
  { judge, log }: Following,
  image: Image,
  manifest: Image["manifest"],
): Promise<void> {
  if (manifest === undefined || manifest.signature === image.manifest?.signature) return;
  try {
    await judge(image, manifest);
  } catch (error) {
    if (!isFault(error)) throw error;
    log(`the manifest of image ${image.id} in Glance is not taken: ${error.message}`);
  }
}

async function lose({ store }: Following, look: Look, image: Image): Promise<void> {
  const after = await changeImage(store, image.id, (one) => lostInGlance(one, store.now()));
  if (after.revision !== image.revision) look.followed.changed += 1;
}
