import type { DynamoDBRecord } from "aws-lambda";
import type { StreamModel } from "../gateway/service.ts";
import type { Clock } from "./clock.ts";

/** What a lane needs. `deadLetter` takes a change that failed too often; absent: try for ever. */
export interface LaneOptions {
  readonly model: StreamModel;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly invoke: (records: readonly DynamoDBRecord[]) => Promise<unknown>;
  readonly deadLetter?: (record: DynamoDBRecord) => void | Promise<void>;
}

interface Waiting {
  readonly record: DynamoDBRecord;
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

interface Segment {
  readonly items: readonly Waiting[];
  readonly failures: number;
}

/** First and longest wait before a retry, milliseconds. */
const backOff = { first: 100, longest: 10_000 };

/** Rejection of a change that was not handled before the end; its source must offer it again. */
export class TriggersClosed extends Error {
  override readonly name = "TriggersClosed";
}

function sequenceOf({ record }: Waiting): string | undefined {
  return record.dynamodb?.SequenceNumber;
}

/** How many items from the front are done. Lambda's rule: all before the lowest one reported. */
function progress(items: readonly Waiting[], answer: unknown, reports: boolean): number {
  const failures = (answer as { batchItemFailures?: unknown } | null | undefined)
    ?.batchItemFailures;
  if (!reports || !Array.isArray(failures) || failures.length === 0) return items.length;
  const positions = failures.map((failure: { itemIdentifier?: string }) =>
    items.findIndex((item) => sequenceOf(item) === failure.itemIdentifier),
  );
  // An identifier nobody knows fails the whole batch, as in AWS.
  return Math.max(0, Math.min(...positions));
}

/**
 * One ordered queue of changes: batches of at most `batchSize`, one at a time. A failed batch is
 * halved (splitting costs no try), a single change is tried again with growing waits.
 */
export class Lane {
  readonly #options: LaneOptions;
  readonly #queue: Waiting[] = [];
  #running: Promise<void> | undefined;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Resolves once the change was handled or dead-lettered; rejects with `TriggersClosed`. */
  add(record: DynamoDBRecord): Promise<void> {
    return new Promise((done, failed) => {
      this.#queue.push({ record, done, failed });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // Lets everything that was added in the same turn share a batch.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const items = this.#queue.splice(0, this.#options.model.batchSize);
      await this.#batch(items);
    }
    this.#running = undefined;
  }

  async #batch(items: readonly Waiting[]): Promise<void> {
    const { signal } = this.#options;
    const todo: Segment[] = [{ items, failures: 0 }];
    for (let segment = todo.shift(); segment !== undefined; segment = todo.shift()) {
      if (signal.aborted) {
        for (const item of segment.items) item.failed(new TriggersClosed());
        continue;
      }
      const handled = await this.#attempt(segment.items);
      for (const item of segment.items.slice(0, handled)) item.done();
      const rest = segment.items.slice(handled);
      if (rest.length > 0) {
        const failures = handled > 0 ? 0 : segment.failures;
        todo.unshift(...(await this.#next({ items: rest, failures })));
      }
    }
  }

  async #attempt(items: readonly Waiting[]): Promise<number> {
    const { invoke, model } = this.#options;
    try {
      const answer = await invoke(items.map(({ record }) => record));
      return progress(items, answer, model.reportsItemFailures);
    } catch {
      return 0;
    }
  }

  async #next({ items, failures }: Segment): Promise<Segment[]> {
    const { model, clock, signal } = this.#options;
    if (model.bisect && items.length > 1) {
      const middle = Math.ceil(items.length / 2);
      return [items.slice(0, middle), items.slice(middle)].map((half) => ({
        items: half,
        failures,
      }));
    }
    if (await this.#giveUp(items, failures + 1)) return [];
    await clock.sleep(Math.min(backOff.longest, backOff.first * 2 ** failures), signal);
    return [{ items, failures: failures + 1 }];
  }

  async #giveUp(items: readonly Waiting[], failures: number): Promise<boolean> {
    const { model, deadLetter } = this.#options;
    const limit = model.maximumRetryAttempts;
    if (deadLetter === undefined || limit < 0 || failures <= limit) return false;
    try {
      for (const { record } of items) await deadLetter(record);
    } catch {
      return false;
    }
    for (const item of items) item.done();
    return true;
  }
}
