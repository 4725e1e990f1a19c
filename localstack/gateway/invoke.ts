import { randomUUID } from "node:crypto";
import type { Context } from "aws-lambda";
import type { Handler } from "../../functions/entry.ts";
import type { FunctionModel } from "./service.ts";

/** Loads what a `FunctionModel.handler` names. Called once per function. */
export type Load = (handler: string) => Promise<Handler<never>>;

/** Where the offline cloud pretends to be. */
export interface Place {
  readonly account: string;
  readonly region: string;
  readonly stage: string;
  readonly apiId: string;
}

/** Rejection of an invocation that outlived the function's own timeout, as Lambda words it. */
class FunctionTimeout extends Error {
  override readonly name = "FunctionTimeout";
}

/** Calls functions the way Lambda does; every call is awaited by `settled`. */
export interface Invoker {
  readonly place: Place;
  /** Rejects with the handler's error, or with `FunctionTimeout`. */
  invoke(target: FunctionModel, event: unknown): Promise<unknown>;
  /** Resolves when no call is under way. */
  settled(): Promise<void>;
}

/** What an invoker needs. `onFailure` hears of every failed call; offline it is the only log. */
export interface InvokerOptions {
  readonly load: Load;
  readonly place: Place;
  readonly serviceName: string;
  readonly now: () => number;
  readonly onFailure?: (functionName: string, error: unknown) => void;
}

/** Settles as `work` does, but rejects with `late()` once `milliseconds` have passed. */
export async function withDeadline<T>(
  work: Promise<T>,
  milliseconds: number,
  late: () => Error,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(late()), milliseconds);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

function contextOf(target: FunctionModel, options: InvokerOptions): Context {
  const { place, serviceName, now } = options;
  const functionName = `${serviceName}-${place.stage}-${target.name}`;
  const ends = now() + target.timeout * 1000;
  const ignore = (): void => undefined;
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName,
    functionVersion: "$LATEST",
    invokedFunctionArn: `arn:aws:lambda:${place.region}:${place.account}:function:${functionName}`,
    memoryLimitInMB: String(target.memory),
    awsRequestId: randomUUID(),
    logGroupName: `/aws/lambda/${functionName}`,
    logStreamName: "offline",
    getRemainingTimeInMillis: () => Math.max(0, ends - now()),
    done: ignore,
    fail: ignore,
    succeed: ignore,
  };
}

/** Makes an invoker. A handler that fails to load is loaded again by the next call. */
export function createInvoker(options: InvokerOptions): Invoker {
  const loaded = new Map<string, Promise<Handler<never>>>();
  const pending = new Set<Promise<unknown>>();

  const handlerFor = async (target: FunctionModel): Promise<Handler<never>> => {
    const known = loaded.get(target.handler) ?? options.load(target.handler);
    loaded.set(target.handler, known);
    try {
      return await known;
    } catch (error) {
      loaded.delete(target.handler);
      throw error;
    }
  };

  const run = async (target: FunctionModel, event: unknown): Promise<unknown> => {
    try {
      const handler = await handlerFor(target);
      const work = handler(event as never, contextOf(target, options));
      return await withDeadline(work, target.timeout * 1000, () => {
        return new FunctionTimeout(`Task timed out after ${target.timeout.toFixed(2)} seconds`);
      });
    } catch (error) {
      options.onFailure?.(target.name, error);
      throw error;
    }
  };

  const invoke = (target: FunctionModel, event: unknown): Promise<unknown> => {
    const call = run(target, event);
    const forget = (): void => void pending.delete(call);
    pending.add(call);
    call.then(forget, forget);
    return call;
  };

  const settled = async (): Promise<void> => {
    while (pending.size > 0) await Promise.allSettled(pending);
  };

  return { place: options.place, invoke, settled };
}
