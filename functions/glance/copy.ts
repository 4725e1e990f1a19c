import { createHash, getHashes, type Hash } from "node:crypto";
import { Fault, isFault } from "#domain/faults";
import { isOnItsWay } from "#domain/glance";
import type { GlanceHash } from "#domain/glance-link";
import type { Image } from "#domain/image";
import { imageLifecycle, next } from "#domain/lifecycle";
import type { OpenStack } from "#openstack/cloud";
import { openImage } from "#openstack/glance";
import { changeImage } from "#store/images";
import type { Store } from "#store/store";
import type { Bucket } from "../parts/bucket.ts";
import type { Uploader } from "../parts/bucket-upload.ts";
import { flowing } from "./flowing.ts";

/** What copying an image from Glance to the bucket needs. */
export interface Copying {
  readonly store: Store;
  readonly openstack: OpenStack;
  readonly bucket: Pick<Bucket, "facts">;
  readonly uploader: Uploader;
  readonly maxImageBytes: number;
  /** Names this copier in leases; another one each time. */
  readonly holder: string;
  /** Judges what is in the bucket already. */
  readonly judge: (image: Image) => Promise<unknown>;
}

/** Most often that progress is written, in ms. */
const progressMs = 5_000;
/** A copier that says nothing for this long is dead, in ms: several writes of progress. */
const leaseMs = 60_000;
/** A download that stands still for this long is given up, in ms. */
const stallMs = 30_000;
/** First wait after a copy that failed, doubled each time up to the longest, in ms. */
const againMs = { first: 30_000, longest: 1_800_000 };
/** The bucket's own message starts the judgement; the clock does so when that is lost. */
const verdictMs = 120_000;

/**
 * Brings an image of Glance one step on: judges the object that is in the bucket, or copies it there.
 * The bytes of one id never change in Glance, so they are copied once. What fails is tried again
 * later, wrong bytes are refused. True when something was done.
 */
export async function bring(copying: Copying, id: string): Promise<boolean> {
  const { store, bucket, judge } = copying;
  const image = await takeLease(copying, id);
  if (image === undefined) return false;
  try {
    if ((await bucket.facts(image.objectKey)) === undefined) await copy(copying, image);
    else await judge(image);
  } catch (error) {
    if (!isFault(error)) throw error;
    if (isFinal(error)) await refuse(store, id, error);
    else await postpone(copying, id, error);
  }
  return true;
}

const finalFaults: ReadonlySet<string> = new Set(["IMAGE_CORRUPT", "IMAGE_TOO_LARGE"]);
const isFinal = ({ code }: Fault) => finalFaults.has(code);

/** The image when it has work that is due and nobody else is at it. */
async function takeLease({ store, holder }: Copying, id: string): Promise<Image | undefined> {
  let mine = false;
  const image = await changeImage(store, id, (one) => {
    const now = store.now();
    const { glance } = one;
    const isTaken = (glance?.lease?.until ?? 0) > now;
    mine = glance !== undefined && isOnItsWay(one) && glance.dueAt <= now && !isTaken;
    if (!mine || glance === undefined) return one;
    const until = now + leaseMs;
    return { ...one, glance: { ...glance, lease: { holder, until }, dueAt: until } };
  });
  return mine ? image : undefined;
}

async function copy(copying: Copying, image: Image): Promise<void> {
  const { openstack, uploader, store, maxImageBytes } = copying;
  const size = image.glance?.size ?? 0;
  if (size > maxImageBytes) throw new Fault("IMAGE_TOO_LARGE", `at most ${maxImageBytes} bytes`);
  const check = checker(image, maxImageBytes);
  const body = flowing(await openImage(openstack, image.id), stallMs);
  let told = store.now();
  async function* watched(): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      check.update(chunk);
      yield chunk;
      if (store.now() - told < progressMs) continue;
      told = store.now();
      await progress(copying, image.id, check.bytes());
    }
  }
  await uploader.write(image.objectKey, watched(), check.approve);
  await finish(store, image.id, check.bytes());
}

/** Holds the bytes that stream by to what Glance knows of them. */
function checker({ glance }: Image, most: number) {
  const size = glance?.size;
  const digest = digestFor(glance?.hash);
  let bytes = 0;
  return {
    bytes: () => bytes,
    update: (chunk: Uint8Array) => {
      bytes += chunk.length;
      if (bytes > most) throw new Fault("IMAGE_TOO_LARGE", `at most ${most} bytes`);
      digest?.hash.update(chunk);
    },
    approve: () => {
      if (size !== undefined && bytes !== size) {
        throw new Fault("DOWNLOAD_FAILED", `${bytes} of ${size} bytes came from Glance`);
      }
      const found = digest?.hash.digest("hex");
      if (found !== digest?.expected) {
        const message = `${glance?.hash?.algorithm} is ${found}, Glance's is ${digest?.expected}`;
        throw new Fault("IMAGE_CORRUPT", message, { field: glance?.hash?.algorithm ?? "" });
      }
    },
  };
}

/** A digest this Node cannot make is passed over: the md5 is compared by the judgement. */
function digestFor(
  hash: GlanceHash | undefined,
): { readonly hash: Hash; readonly expected: string } | undefined {
  if (hash === undefined || !getHashes().includes(hash.algorithm)) return undefined;
  return { hash: createHash(hash.algorithm), expected: hash.value };
}

/** Says how far the copy is and keeps the lease; CONFLICT when someone else has it by now. */
async function progress({ store, holder }: Copying, id: string, copied: number): Promise<void> {
  await changeImage(store, id, (one) => {
    const { glance } = one;
    if (glance === undefined || glance.lease?.holder !== holder || one.state !== "pending") {
      throw new Fault("CONFLICT", `image ${id} is not to be copied any more`);
    }
    const until = store.now() + leaseMs;
    return { ...one, glance: { ...glance, copied, lease: { holder, until }, dueAt: until } };
  });
}

/** Whoever judges the object may be faster; then nothing is left to say. */
async function finish(store: Store, id: string, copied: number): Promise<void> {
  await changeImage(store, id, (one) => {
    const { glance } = one;
    if (glance === undefined || one.state !== "pending") return one;
    const dueAt = store.now() + verdictMs;
    const done = { copied, dueAt, lease: undefined, problem: undefined };
    return { ...one, glance: { ...glance, ...done }, updatedAt: store.now() };
  });
}

async function postpone({ store, holder }: Copying, id: string, { message }: Fault): Promise<void> {
  await changeImage(store, id, (one) => {
    const { glance } = one;
    if (glance?.lease?.holder !== holder || !isOnItsWay(one)) return one;
    const tries = glance.tries + 1;
    const wait = Math.min(againMs.first * 2 ** (tries - 1), againMs.longest);
    const failed = { tries, problem: message, dueAt: store.now() + wait, lease: undefined };
    return { ...one, glance: { ...glance, ...failed } };
  });
}

async function refuse(store: Store, id: string, { code, message }: Fault): Promise<void> {
  await changeImage(store, id, (one) => {
    const state = one.state === "pending" ? next(imageLifecycle, one.state, "refused") : undefined;
    if (state === undefined) return one;
    return { ...one, state, reason: { code, message }, updatedAt: store.now() };
  });
}
