import { AsyncLocalStorage } from "node:async_hooks";
import { ApiGatewayManagementApiClient } from "@aws-sdk/client-apigatewaymanagementapi";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { S3Client } from "@aws-sdk/client-s3";
import { callMs, type Usage } from "./prices.ts";

type Counts = { -readonly [Name in keyof Usage]: number };

const nothing = (): Counts => ({
  calls: 0,
  ownMs: 0,
  awsMs: 0,
  reads: 0,
  writes: 0,
  http: 0,
  messages: 0,
  s3Reads: 0,
  s3Writes: 0,
});

interface Command {
  readonly constructor: { readonly name: string };
  readonly input: Record<string, unknown>;
}

interface Answer {
  readonly ConsumedCapacity?:
    | { readonly CapacityUnits?: number }
    | readonly { readonly CapacityUnits?: number }[];
}

/** Functions of the clock: their work is shared by all claims and agents, not caused by one. */
const clocked: ReadonlySet<string> = new Set(["sweep", "openstackClock", "glance"]);
/** Functions that no HTTP request reaches. */
const unasked: ReadonlySet<string> = new Set([
  "connect",
  "message",
  "disconnect",
  "tableChanged",
  "openstackChanged",
  "imageUploaded",
  "authorizer",
]);

/**
 * Counts what functions use while it is on: the table tells its units itself, indexes and the double
 * price of transactions included; times inside AWS are modelled, times of the function measured.
 */
export class Meter {
  readonly #functions = new Map<string, Counts>();
  readonly #running = new AsyncLocalStorage<string>();
  #stop: () => void = () => undefined;

  /** Runs a function's call so that what it does is counted. */
  readonly around = async (name: string, run: () => Promise<unknown>): Promise<unknown> => {
    if (clocked.has(name)) return undefined;
    const counts = this.#of(name);
    counts.calls += 1;
    if (name === "message") counts.messages += 1;
    if (!unasked.has(name)) counts.http += 1;
    const begun = performance.now();
    try {
      return await this.#running.run(name, run);
    } finally {
      counts.ownMs += performance.now() - begun;
    }
  };

  /** Counts from zero. */
  reset(): void {
    this.#functions.clear();
  }

  /** All functions together. */
  total(): Usage {
    const sum = nothing();
    for (const counts of this.#functions.values()) {
      for (const name of Object.keys(sum) as (keyof Usage)[]) sum[name] += counts[name];
    }
    return sum;
  }

  /** Calls by function, most first. */
  calls(): readonly (readonly [string, number])[] {
    return [...this.#functions]
      .map(([name, { calls }]) => [name, calls] as const)
      .toSorted(([, a], [, b]) => b - a);
  }

  /** Hears every SDK call of this process until {@link stop}. */
  start(): void {
    const prototype = Object.getPrototypeOf(DynamoDBClient.prototype) as {
      send: (command: Command, ...rest: unknown[]) => Promise<unknown>;
    };
    const { send } = prototype;
    const hear = async (client: object, command: Command, answer: () => Promise<unknown>) => {
      const name = this.#running.getStore();
      if (name === undefined) return await answer();
      if (client instanceof DynamoDBClient) command.input["ReturnConsumedCapacity"] = "TOTAL";
      const answered = await answer();
      this.#count(client, command.constructor.name, answered as Answer, this.#of(name));
      return answered;
    };
    prototype.send = async function heard(this: object, command: Command, ...rest: unknown[]) {
      return await hear(this, command, async () => await send.call(this, command, ...rest));
    };
    this.#stop = () => {
      prototype.send = send;
    };
  }

  stop(): void {
    this.#stop();
  }

  #of(name: string): Counts {
    const counts = this.#functions.get(name) ?? nothing();
    this.#functions.set(name, counts);
    return counts;
  }

  #count(client: object, command: string, answer: Answer, counts: Counts): void {
    if (client instanceof ApiGatewayManagementApiClient) {
      counts.awsMs += callMs.post;
      if (command.startsWith("Post")) counts.messages += 1;
    } else if (client instanceof S3Client) {
      counts.awsMs += callMs.s3;
      if (/^(Get|Head)/.test(command)) counts.s3Reads += 1;
      else counts.s3Writes += 1;
    } else countTable(command, answer, counts);
  }
}

function countTable(command: string, answer: Answer, counts: Counts): void {
  const units = [answer.ConsumedCapacity ?? []]
    .flat()
    .reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0);
  if (/^(Get|BatchGet|Query)/.test(command)) {
    counts.reads += units;
    counts.awsMs += callMs.read;
    return;
  }
  counts.writes += units;
  counts.awsMs += command.startsWith("Transact") ? callMs.transaction : callMs.write;
}
