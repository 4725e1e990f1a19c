import { isFault } from "#domain/faults";
import type { OpenStack } from "#openstack/cloud";
import { type EventAnswer, sendBindEvent } from "#openstack/nova";
import { type OwedEvent, postponeEvent, readOwedEvent, settleEvent } from "#store/outbox";
import type { Store } from "#store/store";

/** Telling Nova needs a cloud; without one nobody waits for an event. */
export interface Telling {
  readonly store: Store;
  readonly openstack: OpenStack | undefined;
  readonly log: (message: string) => void;
}

/** First wait after a try that failed, doubled each time up to the longest, in ms. */
const againMs = { first: 1_000, longest: 60_000 };

/** Nova waits 300 s for a bind unless configured otherwise; after an hour nobody does. */
const oldestMs = 3_600_000;

/** Tries in one go; later ones are the clock's. */
const quickTries = 4;

/**
 * Delivers an owed event, with a few quick tries and then by the clock, until Nova accepts it or says
 * that the instance is gone. True when nothing is owed any more.
 */
export async function deliver(
  telling: Telling,
  owed: OwedEvent,
  tries: number = quickTries,
): Promise<boolean> {
  const { store, log } = telling;
  for (let attempt = 0; attempt < tries; attempt += 1) {
    const event = await readOwedEvent(store, owed.claim);
    if (event === undefined || event.createdAt !== owed.createdAt) return true;
    const answer = await answerTo(telling, event);
    if (answer.kind !== "again" || store.now() - event.createdAt > oldestMs) {
      if (answer.kind === "again") log(`gave up telling Nova of ${event.claim}: ${answer.why}`);
      await settleEvent(store, event);
      return true;
    }
    log(`event of ${event.claim} for ${event.instance} comes again: ${answer.why}`);
    const wait = Math.min(againMs.first * 2 ** event.tries, againMs.longest);
    await postponeEvent(store, event, store.now() + wait);
    if (attempt + 1 < tries) await store.sleep(wait);
  }
  return false;
}

async function answerTo({ openstack, log }: Telling, event: OwedEvent): Promise<EventAnswer> {
  try {
    if (openstack === undefined || (await openstack.endpoint("compute")) === undefined) {
      log(`nobody to tell of ${event.claim}: no compute service is configured`);
      return { kind: "gone" };
    }
    return await sendBindEvent(openstack, event);
  } catch (error) {
    if (!isFault(error, "OPENSTACK_UNAVAILABLE")) throw error;
    return { kind: "again", why: error.message };
  }
}
