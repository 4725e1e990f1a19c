import { isFault } from "#domain/faults";
import type { Image, Visibility } from "#domain/image";
import { judgementAt } from "#domain/judgement";
import { canonicalVendor } from "#protocol/images/metadata";
import { checkObjectKey } from "#protocol/images/names";
import { isUuid, uuidOf } from "#protocol/uuid";
import { addImage, changeImage, readImage } from "#store/images";
import type { Store } from "#store/store";
import type { ObjectFacts } from "../parts/bucket.ts";

/** An object as it lies in the bucket. */
export interface Upload {
  readonly key: string;
  readonly facts: ObjectFacts;
}

/**
 * The image an object belongs to: announced over the API (its key ends with the image's id), or a
 * plain object tagged `FPGA`, which becomes an image here. Undefined when it is neither.
 */
export async function findOrAnnounce(store: Store, upload: Upload): Promise<Image | undefined> {
  const announced = await announcedAt(store, upload.key);
  if (announced !== undefined) return announced;
  const said = saidOf(upload.facts);
  if (!isTagged(said)) return undefined;
  const id = uuidOf("image", upload.key, upload.facts.version ?? upload.facts.etag);
  const known = await readImage(store, id);
  const wanted = described(store, upload, id, said);
  if (wanted === undefined) return undefined;
  if (known === undefined) {
    await store.table.write([addImage(wanted)]);
    return await readImage(store, id);
  }
  if (known.state !== "pending" || wanted.reason !== undefined) return known;
  const { vendor, type, visibility } = wanted;
  return await changeImage(store, id, (image) => {
    if (image.state !== "pending") return image;
    const judgement = judgementAt(store.now(), image.judgement?.tries);
    return { ...image, vendor, type, visibility, reason: undefined, judgement };
  });
}

/** True while the tags that say what it is are missing. */
export function isWaiting({ state, reason }: Image): boolean {
  return state === "pending" && reason !== undefined;
}

async function announcedAt(store: Store, key: string): Promise<Image | undefined> {
  const last = key.slice(key.lastIndexOf("/") + 1);
  if (!isUuid(last)) return undefined;
  const image = await readImage(store, last);
  return image?.objectKey === key ? image : undefined;
}

/** Tags win over metadata: they can be corrected after the upload. */
function saidOf({ metadata, tags }: ObjectFacts): Readonly<Record<string, string>> {
  const lower = Object.entries(metadata).map(([name, value]) => [name.toLowerCase(), value]);
  return { ...Object.fromEntries(lower), ...tags };
}

function isTagged(said: Readonly<Record<string, string>>): boolean {
  const value = said["FPGA"] ?? said["fpga"];
  return value !== undefined && value.toLowerCase() !== "false";
}

const visibilities = new Set<string>(["private", "shared", "public"]);

function described(
  store: Store,
  upload: Upload,
  id: string,
  said: Readonly<Record<string, string>>,
): Image | undefined {
  const owner = /^images\/([A-Za-z0-9][\w.-]{0,63})\//.exec(upload.key)?.[1];
  if (owner === undefined) return undefined;
  const now = store.now();
  const reason = nameFault(upload.key) ?? missing(said);
  const visibility = said["visibility"] ?? "private";
  return {
    id,
    project: owner,
    name: upload.key.slice(`images/${owner}/`.length).slice(0, 256),
    vendor: canonicalVendor(said["vendor"] ?? "") ?? said["vendor"] ?? "",
    type: said["type"] ?? "",
    visibility: visibilities.has(visibility) ? (visibility as Visibility) : "private",
    state: reason?.code === "IMAGE_NAME_INVALID" ? "rejected" : "pending",
    reason,
    objectKey: upload.key,
    objectVersion: upload.facts.version,
    judgement: judgementAt(now),
    size: upload.facts.size,
    createdAt: now,
    updatedAt: now,
    revision: 0,
  };
}

function nameFault(key: string): Image["reason"] {
  try {
    checkObjectKey(key);
    return undefined;
  } catch (error) {
    if (!isFault(error)) throw error;
    return { code: error.code, message: error.message };
  }
}

/** An image waits for the tags the mail asks for: a later tagging completes it. */
function missing(said: Readonly<Record<string, string>>): Image["reason"] {
  const absent = ["vendor", "type"].filter((name) => !/^[\w.-]{1,64}$/.test(said[name] ?? ""));
  return absent.length === 0
    ? undefined
    : { code: "INVALID_REQUEST", message: `waiting for the tag ${absent.join(" and ")}` };
}
