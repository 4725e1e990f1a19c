import type { DynamoDBBatchResponse, DynamoDBRecord, DynamoDBStreamEvent } from "aws-lambda";
import type { CardOperation } from "#domain/card";
import type { Deployable } from "#domain/deployable";
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
import { bucketFrom } from "../parts/bucket.ts";
import { isSendable, type Push, pushFrom } from "../parts/push.ts";
import { storeFrom } from "../parts/store.ts";

export interface Dispatching extends Wishing {
  readonly push: Push;
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
  if (before === undefined) return now;
  return sameContent(wishOf(valueOf<Deployable>(before)), wishOf(now)) ? undefined : now;
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

/** Neither waits for the other: a push that can never succeed must not keep a change off the audit. */
async function apply(dispatching: Dispatching, record: DynamoDBRecord): Promise<void> {
  const change = changeOf(record);
  const wish = changedWish(change);
  const card = takenCard(change);
  const results = await Promise.allSettled([
    wish === undefined ? undefined : dispatch(dispatching, wish),
    card === undefined ? undefined : dispatchCard(dispatching, card),
    recordEvents(dispatching.store, change),
  ]);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** The table's stream: dispatch and audit. A record that fails is tried again by itself. */
export const create: Create = (environment) =>
  tableChangedFunction({
    store: storeFrom(environment),
    bucket: bucketFrom(environment),
    push: pushFrom(environment),
  });

/** The stream's function over given parts. */
export function tableChangedFunction(
  dispatching: Dispatching,
): Handler<unknown, DynamoDBBatchResponse> {
  return async (event) => {
    for (const record of (event as DynamoDBStreamEvent).Records) {
      try {
        await apply(dispatching, record);
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
