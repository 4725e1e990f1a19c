import type { DatabaseSync } from "node:sqlite";
import type { BucketEvent } from "./events.ts";

/**
 * Takes an event. It counts as delivered when this returns, or when the promise it returns
 * resolves; after a failure or a kill the same event comes again at the next start.
 */
export type OnBucketEvent = (event: BucketEvent) => void | Promise<void>;

/** Events written in the transaction of their cause, so that a kill between the two loses none. */
export interface Outbox {
  /** Inside the transaction of the change the event tells of. */
  save(event: BucketEvent): void;
  /** After that transaction. Calls the listener before it returns and never throws. */
  deliver(event: BucketEvent): void;
  /** Delivers again what an earlier run did not finish, in order. */
  redeliver(): void;
  /** Resolves when no delivery is under way. */
  settled(): Promise<void>;
}

/** The outbox over an open database; without a listener it keeps nothing. */
export function openOutbox(database: DatabaseSync, onEvent: OnBucketEvent | undefined): Outbox {
  const insert = database.prepare("INSERT INTO outbox (id, event) VALUES (?, ?)");
  const remove = database.prepare("DELETE FROM outbox WHERE id = ?");
  const pending = database.prepare("SELECT event FROM outbox ORDER BY rowid");
  const running = new Set<Promise<void>>();
  const deliver = (event: BucketEvent): void => {
    if (onEvent === undefined) return;
    const run = attempt(onEvent, event).then((delivered) => {
      if (delivered) remove.run(event.id);
    });
    running.add(run);
    void run.finally(() => running.delete(run));
  };
  return {
    save: (event) => {
      if (onEvent !== undefined) insert.run(event.id, JSON.stringify(event));
    },
    deliver,
    redeliver: () => {
      for (const row of pending.all()) deliver(JSON.parse(String(row["event"])) as BucketEvent);
    },
    settled: async () => {
      await Promise.all(running);
    },
  };
}

async function attempt(onEvent: OnBucketEvent, event: BucketEvent): Promise<boolean> {
  try {
    await onEvent(event);
    return true;
  } catch {
    return false;
  }
}
