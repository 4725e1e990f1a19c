import type { DynamoDBRecord } from "aws-lambda";
import { createInvoker, type Invoker, type Load, type Place } from "../gateway/invoke.ts";
import type { FunctionModel, ServiceModel } from "../gateway/service.ts";
import { type References, substitute } from "../gateway/substitute.ts";
import { type ChangeTrigger, createChangeTrigger } from "./changes.ts";
import { type Clock, systemClock } from "./clock.ts";
import { TriggersClosed } from "./lane.ts";
import { type BusEvent, compilePattern, type Matcher } from "./pattern.ts";
import { rateOf, scheduledEvent } from "./schedule.ts";

/** Settings of `startTriggers`. */
export interface TriggerOptions {
  readonly service: ServiceModel;
  readonly load: Load;
  /** What `{Ref: Bucket}` and the like in patterns stand for. */
  readonly references: References;
  readonly place: Place;
  readonly clock?: Clock;
  /** Takes a change that failed more often than serverless.yml allows; absent: try for ever. */
  readonly deadLetter?: (record: DynamoDBRecord) => void | Promise<void>;
  /** Hears of every failed invocation. */
  readonly onFailure?: (functionName: string, error: unknown) => void;
}

/** The running triggers: their two inputs are given to the bucket and to the table. */
export interface Triggers {
  /**
   * Takes a bucket's event. Resolves when every function whose pattern matches has handled it;
   * rejects when one failed three times or at the end: offer it again later.
   */
  onBucketEvent(event: BusEvent): Promise<void>;
  /** Functions that hear of table changes, each at its own pace. */
  readonly streams: readonly StreamListener[];
  /** Stops schedules, takes nothing new, waits for calls under way. */
  close(): Promise<void>;
}

/** A function's way to the table's changes. */
export interface StreamListener {
  /** The function's name, under which its position is kept. */
  readonly name: string;
  /** Takes table changes in stream order; see `ChangeTrigger.handle`. */
  onChanges(records: readonly DynamoDBRecord[]): Promise<void>;
}

interface Subscription {
  readonly target: FunctionModel;
  readonly matches: Matcher;
}

/** Waits before Lambda's two retries of an asynchronous call; AWS takes 60 s and 120 s. */
const retryWaits = [1000, 2000];

function subscriptionsOf({ service, references }: TriggerOptions): Subscription[] {
  return service.functions.flatMap((target) =>
    target.eventPatterns.map((pattern) => ({
      target,
      matches: compilePattern(substitute(pattern, references)),
    })),
  );
}

function hashKeyOf({ table }: ServiceModel): string {
  const schema = table.properties["KeySchema"] as { AttributeName: string; KeyType: string }[];
  const hash = schema.find(({ KeyType }) => KeyType === "HASH");
  if (hash === undefined) throw new Error("the table has no partition key");
  return hash.AttributeName;
}

function changeTriggers(
  options: TriggerOptions,
  invoker: Invoker,
  clock: Clock,
  signal: AbortSignal,
): { readonly name: string; readonly trigger: ChangeTrigger }[] {
  const { service, deadLetter } = options;
  const hashKey = hashKeyOf(service);
  return service.functions.flatMap((target) =>
    target.streams.map((model) => {
      const invoke = (records: readonly DynamoDBRecord[]): Promise<unknown> =>
        invoker.invoke(target, { Records: records });
      const lane = { model, clock, signal, invoke, ...(deadLetter && { deadLetter }) };
      return { name: target.name, trigger: createChangeTrigger(lane, hashKey) };
    }),
  );
}

function startSchedules(service: ServiceModel, invoker: Invoker, clock: Clock): (() => void)[] {
  return service.functions.flatMap((target) =>
    target.schedules.map((expression) =>
      clock.every(rateOf(expression), () => {
        const event = scheduledEvent(invoker.place, clock.now(), target.name);
        // A failed tick is reported by the invoker; the next one is the retry.
        invoker.invoke(target, event).catch(() => undefined);
      }),
    ),
  );
}

/**
 * Starts everything in serverless.yml that is not a request: bucket events, table changes and
 * schedules. Delivery is at least once: nothing is acknowledged before its function succeeded.
 */
export function startTriggers(options: TriggerOptions): Triggers {
  const { service, clock = systemClock } = options;
  const ending = new AbortController();
  const { signal } = ending;
  const invoker = createInvoker({
    load: options.load,
    place: options.place,
    serviceName: service.name,
    now: () => clock.now(),
    ...(options.onFailure && { onFailure: options.onFailure }),
  });
  const subscriptions = subscriptionsOf(options);
  const changes = changeTriggers(options, invoker, clock, signal);
  const stops = startSchedules(service, invoker, clock);

  const deliver = async (target: FunctionModel, event: BusEvent): Promise<void> => {
    for (const wait of [...retryWaits, undefined]) {
      if (signal.aborted) throw new TriggersClosed();
      try {
        await invoker.invoke(target, event);
        return;
      } catch (error) {
        if (wait === undefined) throw error;
        await clock.sleep(wait, signal);
      }
    }
  };

  return {
    async onBucketEvent(event) {
      const due = subscriptions.filter(({ matches }) => matches(event));
      await Promise.all(due.map(({ target }) => deliver(target, event)));
    },
    streams: changes.map(({ name, trigger }) => ({
      name,
      async onChanges(records) {
        if (signal.aborted) throw new TriggersClosed();
        await trigger.handle(records);
      },
    })),
    async close() {
      ending.abort();
      for (const stop of stops) stop();
      await Promise.all(changes.map(({ trigger }) => trigger.settled()));
      await invoker.settled();
    },
  };
}
