import type { DynamoDBBatchResponse, DynamoDBRecord, DynamoDBStreamEvent } from "aws-lambda";
import type { CardOperation } from "#domain/card";
import { type Deployable, freeHandles, isAllocating } from "#domain/deployable";
import { sameContent } from "#domain/same";
import { lockOf } from "#store/card-lock";
import { deployablesOf, readDeployable } from "#store/deployables";
import { recordEvents } from "#store/events";
import { readBeat } from "#store/hosts";
import { unmarshalItem } from "#store/marshal";
import { valueOf } from "#store/rows";
import type { Item } from "#store/table";
import { type Create, entry, type Handler } from "../entry.ts";
import { openCards } from "../exchange/cards.ts";
import { desiredOf, type Wishing, wishOf } from "../exchange/desired.ts";
import { assignWaiting } from "../parts/binding.ts";
import { bindingFrom } from "../parts/binding-from.ts";
import { bucketFrom } from "../parts/bucket.ts";
import { isSendable, type Push, pushFrom } from "../parts/push.ts";

export interface Dispatching extends Wishing {
  readonly push: Push;
}

/** What follows from a change: pushes, audit, and claims that waited for a card. */
export interface Following extends Dispatching {
  /** Gives claims that wait on this host what is on offer there by now. */
  readonly assignWaiting: (host: string) => Promise<unknown>;
}

/** One change of a row: what it was and what it is. */
export interface Change {
  readonly id: string;
  readonly at: number;
  readonly before: Item | undefined;
  readonly after: Item | undefined;
}

/** Reads a stream record. */
export function changeOf(record: DynamoDBRecord): Change {
  const { OldImage, NewImage, ApproximateCreationDateTime: seconds } = record.dynamodb ?? {};
  const item = (image: typeof OldImage) => (image === undefined ? undefined : unmarshalItem(image));
  return {
    id: record.eventID ?? "",
    at: (seconds ?? 0) * 1000,
    before: item(OldImage),
    after: item(NewImage),
  };
}

/** The deployable whose wish changed, if this is such a change. */
export function changedWish({ before, after }: Change): Deployable | undefined {
  if (after?.["type"] !== "deployable") return undefined;
  const now = valueOf<Deployable>(after);
  if (isAllocating(now)) return undefined;
  if (before === undefined) return now;
  const was = valueOf<Deployable>(before);
  return !isAllocating(was) && sameContent(wishOf(was), wishOf(now)) ? undefined : now;
}

/**
 * Pushes the newest wish of a deployable to its agent's socket. A host without a socket gets it with
 * its next ping or poll, so a push that fails is no failure.
 */
export async function dispatch(
  dispatching: Dispatching,
  where: { readonly host: string; readonly id: string },
): Promise<boolean> {
  const { store, push } = dispatching;
  const [beat, deployable] = await Promise.all([
    readBeat(store, where.host),
    readDeployable(store, where.host, where.id),
  ]);
  if (beat.connection === undefined || beat.state === "offline" || deployable === undefined) {
    return false;
  }
  if (isAllocating(deployable)) return false;
  const desired = await desiredOf(dispatching, deployable);
  return isSendable(desired) && (await push.send(beat.connection, desired));
}

/** The card whose lock was taken, if this is such a change. */
function takenCard({ before, after }: Change): CardOperation | undefined {
  const isTaken = after?.["type"] === "card" && before?.["operation"] !== after["operation"];
  return isTaken ? lockOf(after).operation : undefined;
}

/** Pushes a card operation; one whose push is lost comes with the next ping or poll. */
async function dispatchCard({ store, push }: Dispatching, { host }: CardOperation): Promise<void> {
  const [beat, deployables] = await Promise.all([
    readBeat(store, host),
    deployablesOf(store, host),
  ]);
  if (beat.connection === undefined || beat.state === "offline") return;
  for (const message of (await openCards(store, host, deployables)).filter(isSendable)) {
    await push.send(beat.connection, message);
  }
}

/** The host of a card that can be had by more claims than before, if this is such a change. */
export function newlyOffered({ before, after }: Change): string | undefined {
  if (after?.["type"] !== "deployable" || after["gsi1pk"] === undefined) return undefined;
  const now = valueOf<Deployable>(after);
  if (before?.["gsi1pk"] === undefined) return now.host;
  return freeHandles(now).length > freeHandles(valueOf<Deployable>(before)).length
    ? now.host
    : undefined;
}

/**
 * Does what follows from one change. Neither waits for the other: a push that can never succeed must
 * not keep a change off the audit. Rejects when any of it failed: all of it may be done again.
 */
export async function follow(following: Following, change: Change): Promise<void> {
  const wish = changedWish(change);
  const card = takenCard(change);
  const host = newlyOffered(change);
  const results = await Promise.allSettled([
    wish === undefined ? undefined : dispatch(following, wish),
    card === undefined ? undefined : dispatchCard(following, card),
    host === undefined ? undefined : following.assignWaiting(host),
    recordEvents(following.store, change),
  ]);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** The table's stream: dispatch, audit, waiting claims. A record that fails is tried again by itself. */
export const create: Create = (environment) => {
  const binding = bindingFrom(environment);
  return tableChangedFunction({
    store: binding.store,
    bucket: bucketFrom(environment),
    push: pushFrom(environment),
    assignWaiting: async (host) => await assignWaiting(binding, host),
  });
};

/** The stream's function over given parts. */
export function tableChangedFunction(
  following: Following,
): Handler<unknown, DynamoDBBatchResponse> {
  return async (event) => {
    for (const record of (event as DynamoDBStreamEvent).Records) {
      try {
        await follow(following, changeOf(record));
      } catch (error) {
        console.error(error);
        // Later records of the batch are delivered again after this one: order per row is kept.
        const itemIdentifier = record.dynamodb?.SequenceNumber ?? "";
        return { batchItemFailures: [{ itemIdentifier }] };
      }
    }
    return { batchItemFailures: [] };
  };
}

export const handler = entry(create);
