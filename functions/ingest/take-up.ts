import { isFault } from "#domain/faults";
import type { Image } from "#domain/image";
import { judgementAt, judgementDue, mostTries } from "#domain/judgement";
import { imageLifecycle, next } from "#domain/lifecycle";
import { dueRows } from "#store/due";
import { changeImage } from "#store/images";
import { valueOf } from "#store/rows";
import type { Store } from "#store/store";
import { type Ingesting, ingest } from "./ingest.ts";

/** What one tick did, for its log line and for tests. */
export interface TakenUp {
  readonly judged: number;
  readonly givenUp: number;
  readonly failures: number;
}

/** No judgement is begun after this, in ms of a tick of 300 s: the largest still has to fit in. */
const mostMs = 120_000;

/**
 * Judges images whose judgement was cut off: its function died, or the bucket did not answer. One
 * that is cut off again and again is refused with IMAGE_UNJUDGED; a tag set anew begins afresh.
 */
export async function takeUpJudgements(ingesting: Ingesting): Promise<TakenUp> {
  const { store } = ingesting;
  const taken = { judged: 0, givenUp: 0, failures: 0 };
  const began = store.now();
  for await (const item of dueRows(store, "JUDGE")) {
    if (store.now() - began > mostMs) break;
    try {
      const outcome = await takeUp(ingesting, valueOf<Image>(item));
      if (outcome !== undefined) taken[outcome] += 1;
    } catch (error) {
      // It stays owed; the next image is another matter.
      taken.failures += 1;
      if (!isFault(error)) console.error(error);
    }
  }
  return taken;
}

/** The next try is written down before this one begins, for this one may be cut off as well. */
async function takeUp(
  ingesting: Ingesting,
  { id }: Image,
): Promise<"judged" | "givenUp" | undefined> {
  const { store } = ingesting;
  let isOwed = false;
  const image = await changeImage(store, id, (known) => {
    const taken = owedOrRefused(store, known);
    isOwed = taken !== known;
    return taken;
  });
  if (!isOwed) return undefined;
  if (image.state === "rejected") return "givenUp";
  await ingest(ingesting, { key: image.objectKey, version: image.objectVersion });
  return "judged";
}

/** The same image when another has it by now. */
function owedOrRefused(store: Store, known: Image): Image {
  const now = store.now();
  if ((judgementDue(known) ?? now + 1) > now) return known;
  const tries = (known.judgement?.tries ?? 0) + 1;
  if (tries <= mostTries) return { ...known, judgement: judgementAt(now, tries), updatedAt: now };
  const message = `its judgement did not end in ${mostTries + 1} tries; set a tag of the object again`;
  return {
    ...known,
    state: next(imageLifecycle, known.state, "refused") ?? known.state,
    reason: { code: "IMAGE_UNJUDGED", message },
    judgement: undefined,
    updatedAt: now,
  };
}
