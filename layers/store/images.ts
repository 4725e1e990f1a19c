import { Fault } from "#domain/faults";
import { glanceDue } from "#domain/glance";
import { type ActiveImage, type Image, isActive, isVisible } from "#domain/image";
import { judgementDue } from "#domain/judgement";
import { absent, eq } from "#store/expression";
import { due, imageKey } from "#store/keys";
import { type List, listShardsOf, type Wanted } from "#store/lists";
import { rowOf, valueOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Key, Write } from "#store/table";

/** What the clock owes an image: a judgement, or something between us and Glance. */
function owed(image: Image) {
  const judgeAt = judgementDue(image);
  if (judgeAt !== undefined) return due(judgeAt, "image", image.id, "JUDGE");
  const glanceAt = glanceDue(image);
  return glanceAt === undefined ? {} : due(glanceAt, "image", image.id, "GLANCE");
}

function imageRow(image: Image): Item & Key {
  return rowOf(imageKey(image.id), "image", image, {
    revision: image.revision,
    state: image.state,
    gsi1pk: "IMAGES",
    gsi1sk: image.id,
    ...owed(image),
    ...(image.functionId === undefined
      ? {}
      : { gsi2pk: `FUNCTION#${image.functionId}`, gsi2sk: image.id }),
  });
}

/** Writes an image for the first time; the transaction fails when its id exists. */
export function addImage(image: Image): Write {
  return { kind: "put", item: imageRow(image), if: absent("pk") };
}

/** Replaces an image that nobody else changed since it was read. */
export function replaceImage(before: Image, after: Image): Write {
  return {
    kind: "put",
    item: imageRow({ ...after, revision: before.revision + 1 }),
    if: eq("revision", before.revision),
  };
}

/** A grant holds only while its image is still active. */
export function imageStillActive(id: string): Write {
  return { kind: "check", key: imageKey(id), if: eq("state", "active") };
}

/** One image, consistently read. */
export async function readImage(store: Store, id: string): Promise<Image | undefined> {
  return valueOrUndefined<Image>(await store.table.get(imageKey(id), { consistent: true }));
}

/** One image that the caller may see; another project's private image is unknown to it. */
export async function visibleImage(
  store: Store,
  id: string,
  viewer: { readonly project: string; readonly isAdmin: boolean },
): Promise<Image> {
  const image = await readImage(store, id);
  if (image === undefined || !isVisible(image, viewer.project, viewer.isAdmin)) {
    throw new Fault("UNKNOWN_IMAGE", `no image ${id}`, { field: "image" });
  }
  return image;
}

/** Images by id, those that `keep` refuses left out. */
export async function listImages(
  store: Store,
  keep: (image: Image) => boolean,
  wanted: Wanted,
): Promise<List<Image>> {
  return await listShardsOf(
    store,
    {
      index: "gsi1",
      prefix: "IMAGES",
      entry: (item) => {
        const image = valueOf<Image>(item);
        return keep(image) ? image : undefined;
      },
    },
    wanted,
  );
}

/** Every image for which `keep` holds: for the catalogue, not for callers' lists. */
export async function allImages(
  store: Store,
  keep: (image: Image) => boolean,
): Promise<readonly Image[]> {
  const found: Image[] = [];
  let after: string | undefined;
  do {
    const page = await listImages(store, keep, { limit: 200, after });
    found.push(...page.items);
    after = page.next;
  } while (after !== undefined);
  return found;
}

/** Narrows to an image that can be programmed. IMAGE_NOT_ACTIVE tells its state. */
export function requireActive(image: Image): ActiveImage {
  if (!isActive(image)) {
    const why = image.reason === undefined ? "" : `: ${image.reason.message}`;
    throw new Fault("IMAGE_NOT_ACTIVE", `image ${image.id} is ${image.state}${why}`, {
      field: "image",
      expected: "an active image",
    });
  }
  return image;
}

/** Changes an image by a pure function of its newest value. UNKNOWN_IMAGE; TRY_AGAIN. */
export async function changeImage(
  store: Store,
  id: string,
  change: (image: Image) => Image,
): Promise<Image> {
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const before = await readImage(store, id);
    if (before === undefined) throw new Fault("UNKNOWN_IMAGE", `no image ${id}`);
    const after = change(before);
    if (after === before) return before;
    const result = await store.table.write([replaceImage(before, after)]);
    if (result.ok) return { ...after, revision: before.revision + 1 };
    await store.sleep(store.random() * 20 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}
