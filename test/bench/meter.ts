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

/** How often each of something was seen. */
type Tally = ReadonlyMap<string, number>;

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
  readonly #rows = new Map<string, number>();
  readonly #running = new AsyncLocalStorage<string>();
  readonly #asked = new AsyncLocalStorage<true>();
  #stop: () => void = () => undefined;

  /** Runs a function's call so that what it does is counted. */
  readonly around = async (name: string, run: () => Promise<unknown>): Promise<unknown> => {
    if (clocked.has(name) && this.#asked.getStore() !== true) return undefined;
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

  /** Runs something in which functions of the clock are called, and counted, as others are. */
  async withClock(run: () => Promise<void>): Promise<void> {
    await this.#asked.run(true, run);
  }

  /** Counts from zero. */
  reset(): void {
    this.#functions.clear();
    this.#rows.clear();
  }

  /** All functions together. */
  total(): Usage {
    const sum = nothing();
    for (const counts of this.#functions.values()) {
      for (const name of Object.keys(sum) as (keyof Usage)[]) sum[name] += counts[name];
    }
    return sum;
  }

  /** Calls by function. */
  calls(): Tally {
    return new Map([...this.#functions].map(([name, { calls }]) => [name, calls]));
  }

  /** Rows that were written, by the kind of their key. */
  rows(): Tally {
    return new Map(this.#rows);
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
      for (const kind of client instanceof DynamoDBClient ? writtenKinds(command) : []) {
        this.#rows.set(kind, (this.#rows.get(kind) ?? 0) + 1);
      }
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

interface RowInput {
  readonly Item?: { readonly pk: { readonly S: string }; readonly sk: { readonly S: string } };
  readonly Key?: RowInput["Item"];
}

/** Rows that a command writes: the kind of a partition and of a row in it, as in `HOST/DPL`. */
function writtenKinds({ constructor: { name }, input }: Command): readonly string[] {
  if (!/^(Put|Update|Delete|Transact)/.test(name)) return [];
  const parts = (input["TransactItems"] ?? [{ Put: input }]) as readonly Record<string, RowInput>[];
  return parts.flatMap(({ Put, Update, Delete }) => {
    const row = Put ?? Update ?? Delete;
    const key = row?.Item ?? row?.Key;
    if (key === undefined) return [];
    const [owner, kind] = [key.pk.S, key.sk.S].map((part) => part.split("#")[0]);
    return [owner === "EVENTS" || owner === kind ? `${owner}` : `${owner}/${kind}`];
  });
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
