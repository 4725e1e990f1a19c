import type { DynamoDBBatchResponse, DynamoDBRecord } from "aws-lambda";
import { pause } from "./pause.ts";
import type { Positions } from "./positions.ts";
import type { ChangeSource } from "./source.ts";

/**
 * Takes records in the order of their writes, at least once each. A rejection means "all of them
 * again"; Lambda's partial batch response means "from the first of these on again".
 */
export type ChangeListener = (
  records: readonly DynamoDBRecord[],
) => Promise<DynamoDBBatchResponse | void>;

interface ListenOptions {
  /** Under this name the position is kept; listeners of different names hear independently. */
  readonly name?: string;
  /** Most records of one call, default 100 as in Lambda. */
  readonly batchSize?: number;
  /** Hears why records are delivered again, or why the source could not be read. */
  readonly onError?: (error: unknown) => void;
}

/** The changes of one table, for any number of listeners. */
export interface ChangeFeed {
  /** Returns the way to stop: it settles when a call under way has ended. */
  readonly listen: (listener: ChangeListener, options?: ListenOptions) => () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** Wait before records are delivered again, doubled each time up to the longest, in milliseconds. */
const againMs = { first: 50, longest: 5000 };

/** Delivers what `source` has, each listener at its own pace, and remembers how far it got. */
export function changeFeed(source: ChangeSource, positions: Positions): ChangeFeed {
  const names = new Set<string>();
  const stops = new Set<() => Promise<void>>();
  const reached = (name: string, position: string) => {
    positions.write(name, position);
    source.delivered(positions.all());
  };
  return {
    listen: (listener, { name = "changes", batchSize = 100, onError = () => undefined } = {}) => {
      if (names.has(name)) throw new Error(`${name} is listening already`);
      names.add(name);
      const ending = new AbortController();
      const from = { name, position: positions.read(name), batchSize };
      const running = run({ source, listener, onError, reached }, from, ending.signal);
      const stop = async () => {
        ending.abort();
        await running;
        names.delete(name);
        stops.delete(stop);
      };
      stops.add(stop);
      return stop;
    },
    stop: async () => {
      await Promise.all([...stops].map((stop) => stop()));
      source.close();
    },
  };
}

interface Parties {
  readonly source: ChangeSource;
  readonly listener: ChangeListener;
  readonly onError: (error: unknown) => void;
  readonly reached: (name: string, position: string) => void;
}

async function run(
  parties: Parties,
  from: {
    readonly name: string;
    readonly position: string | undefined;
    readonly batchSize: number;
  },
  signal: AbortSignal,
): Promise<void> {
  const { source, onError, reached } = parties;
  let { position } = from;
  while (!signal.aborted) {
    let found = false;
    try {
      const batch = await source.read(position, from.batchSize);
      if (batch !== undefined && (await handOver(parties, batch.records, signal))) {
        position = batch.position;
        reached(from.name, position);
        found = true;
      }
    } catch (error) {
      onError(error);
    }
    await source.wait(found, signal);
  }
}

/** False when it was stopped before everything was taken. */
async function handOver(
  { listener, onError }: Parties,
  records: readonly DynamoDBRecord[],
  signal: AbortSignal,
): Promise<boolean> {
  let left = records;
  let wait = againMs.first;
  while (left.length > 0 && !signal.aborted) {
    const before = left.length;
    try {
      left = refused(left, await listener(left));
    } catch (error) {
      onError(error);
    }
    if (left.length > 0) await pause(wait, signal);
    wait = left.length < before ? againMs.first : Math.min(wait * 2, againMs.longest);
  }
  return left.length === 0;
}

/** As Lambda reads it: everything from the first refused record on; an unknown one means all. */
function refused(
  records: readonly DynamoDBRecord[],
  answer: DynamoDBBatchResponse | void,
): readonly DynamoDBRecord[] {
  const failures = answer?.batchItemFailures ?? [];
  if (failures.length === 0) return [];
  const places = failures.map(({ itemIdentifier }) =>
    records.findIndex(({ dynamodb }) => dynamodb?.SequenceNumber === itemIdentifier),
  );
  return records.slice(Math.max(0, Math.min(...places)));
}
