import { isFault } from "#domain/faults";
import { encodeMessage } from "#protocol/wire/codec";
import type { RowChange } from "#store/memory-rows";
import type { Store } from "#store/store";
import type { Item } from "#store/table";
import { objectChanged } from "../../functions/events/image-uploaded.ts";
import { sweep } from "../../functions/events/sweep.ts";
import { type Change, type Following, follow } from "../../functions/events/table-changed.ts";
import { claimsFunction } from "../../functions/http/claims.ts";
import { deployablesFunction } from "../../functions/http/deployables.ts";
import { hostsFunction } from "../../functions/http/hosts.ts";
import type { HttpResult } from "../../functions/http/problem.ts";
import type { Ingesting } from "../../functions/ingest/ingest.ts";
import { takeUpJudgements } from "../../functions/ingest/take-up.ts";
import { assign, assignWaiting, type Binding } from "../../functions/parts/binding.ts";
import { bindingOver } from "../../functions/parts/binding-from.ts";
import type { Push } from "../../functions/parts/push.ts";
import { answerFrame } from "../../functions/socket/message.ts";
import { BucketUnavailable, type ObjectVersion, type SimBucket } from "./bucket.ts";
import type { Faults } from "./faults.ts";
import type { Gateway } from "./gateway.ts";
import type { Plant } from "./plants.ts";
import { hashOf, type Random } from "./random.ts";
import { eventOf, type Operation, type Request } from "./request.ts";
import type { Caller, SimTable } from "./table.ts";
import type { Time } from "./time.ts";
import { Uploads } from "./uploads.ts";

/** Most claims of one class that a project may hold, and time for a bind, ms. */
export const settings = { defaultQuota: 12, bindDeadlineMs: 180_000 } as const;
const judging = { signaturePolicy: "optional", maxImageBytes: 1 << 20 } as const;
/** A function that is not done after this time is ended, ms: what the gateway gives it. */
const functionMs = 29_000;
/** The same of the function that judges images: what serverless.yml gives it. */
const judgeMs = 300_000;
const shards = 4;
/** Rows whose changes mean nothing to the stream's function: they are not brought to it. */
const followed: ReadonlySet<unknown> = new Set(["claim", "deployable", "image", "host", "card"]);

/** What the cloud is made of. */
export interface CloudParts {
  readonly time: Time;
  readonly faults: Faults;
  readonly random: Random;
  readonly table: SimTable;
  readonly bucket: SimBucket;
  readonly gateway: () => Gateway;
  readonly plant?: Plant | undefined;
  readonly log: (what: string) => void;
  /** Hears of what no function should throw. */
  readonly defect: (error: unknown) => void;
}

/** One warm instance of the deployed code: it serves one call at a time and dies by a crash. */
interface Instance {
  readonly caller: Caller;
  readonly store: Store;
  readonly binding: Binding;
  readonly following: Following;
  readonly ingesting: Ingesting;
  readonly http: Readonly<Record<Door, ReturnType<typeof claimsFunction>>>;
}

/** The HTTP functions that are asked. */
export type Door = "claims" | "deployables" | "hosts";

/** What a caller saw: an answer, or nothing because the function died or took too long. */
export type Seen = HttpResult | undefined;

/** The functions of the cloud side, each invocation on an instance of its own while it runs. */
export class Cloud {
  readonly #parts: CloudParts;
  readonly #idle: Instance[] = [];
  readonly uploads: Uploads;
  readonly #lanes: { changes: Change[]; isBusy: boolean }[];
  #changeCount = 0;
  #requests = 0;

  constructor(parts: CloudParts) {
    this.#parts = parts;
    this.uploads = new Uploads({ ...parts, judge: (object) => this.#judge(object) });
    this.#lanes = Array.from({ length: shards }, () => ({ changes: [], isBusy: false }));
  }

  /** One HTTP request of somebody the authorizer has let in. */
  async ask(door: Door, operation: Operation, request: Request): Promise<Seen> {
    this.#requests += 1;
    const event = eventOf(operation, request, `request-${this.#requests}`);
    return await this.invoke(async ({ http }) => await http[door](event, {} as never));
  }

  /** Runs something on an instance; undefined when that died or took too long. */
  async invoke<Answer>(
    run: (instance: Instance) => Promise<Answer>,
    most = functionMs,
  ): Promise<Answer | undefined> {
    const { time } = this.#parts;
    const instance = this.#warm() ?? this.#newInstance();
    const over = new AbortController();
    const late = time.sleep(most, over.signal).then(() => undefined);
    const running = run(instance);
    running.catch(() => undefined);
    try {
      const answer = await Promise.race([running.then((value) => ({ value })), late]);
      if (answer === undefined) instance.caller.isOver = true;
      else if (!instance.caller.isOver) this.#idle.push(instance);
      return answer?.value;
    } catch (error) {
      if (!instance.caller.isOver) this.#idle.push(instance);
      throw error;
    } finally {
      over.abort();
    }
  }

  /** One that died by a call that it had left behind is no instance any more. */
  #warm(): Instance | undefined {
    for (let one = this.#idle.pop(); one !== undefined; one = this.#idle.pop()) {
      if (!one.caller.isOver) return one;
    }
    return undefined;
  }

  /** A frame of an agent on its socket. */
  async frame(connection: string, text: string): Promise<void> {
    await this.#safely("frame", async ({ store, following }) => {
      await answerFrame(
        { store, bucket: following.bucket, push: following.push },
        connection,
        text,
      );
    });
  }

  /** The clock has struck. */
  async sweep(): Promise<void> {
    const { faults, random, plant } = this.#parts;
    if (plant?.noSweep === true || faults.strikes("sweep-skip", random)) return;
    await this.#safely("sweep", async ({ store, following, binding }) => {
      await sweep({
        store,
        bucket: following.bucket,
        push: following.push,
        assign: async (claim) => await assign(binding, claim),
      });
    });
  }

  /** The clock of the function that judges images. */
  async takeUp(): Promise<void> {
    const { faults, random, plant } = this.#parts;
    if (plant?.noSweep === true || faults.strikes("sweep-skip", random)) return;
    await this.#safely("take up", ({ ingesting }) => takeUpJudgements(ingesting), judgeMs);
  }

  /** An object was put or tagged. */
  async #judge({ key, version }: ObjectVersion): Promise<boolean> {
    const detail = { object: { key, "version-id": version } };
    const isDone = await this.#safely(
      "judge",
      async ({ ingesting }) => {
        await objectChanged(ingesting, detail);
        return true;
      },
      judgeMs,
    );
    return isDone === true;
  }

  /** What was written is on its way to the stream's function. */
  changed(changes: readonly RowChange[]): void {
    const { time } = this.#parts;
    for (const { key, before, after } of changes) {
      if (!followed.has((after ?? before)?.["type"]) || after?.["quiet"] === true) continue;
      const lane = this.#lanes[hashOf(key.pk) % shards];
      if (lane === undefined) continue;
      this.#changeCount += 1;
      lane.changes.push(changeOf(this.#changeCount, time.wall(), before, after));
      if (!lane.isBusy) this.#deliver(lane);
    }
  }

  /** The oldest change of a shard: it comes again until it is done, and nothing overtakes it. */
  #deliver(lane: { changes: Change[]; isBusy: boolean }): void {
    const { time, faults, random, plant } = this.#parts;
    lane.isBusy = true;
    const late = faults.strikes("stream-late", random) ? random.below(40_000) : random.below(100);
    time.after(20 + late, () => {
      const batch = lane.changes.slice(0, 1 + random.below(8));
      const isDone = this.#safely("stream", async ({ following }) => {
        for (const change of batch) {
          if (plant?.losesPushes === true) continue;
          await follow(following, change);
          if (lane.changes[0] === change && !faults.strikes("stream-double", random)) {
            lane.changes.shift();
          }
        }
        return true;
      });
      void isDone.then(() => {
        if (plant?.losesPushes === true) lane.changes.splice(0, batch.length);
        lane.isBusy = false;
        if (lane.changes.length > 0) this.#deliver(lane);
      });
    });
  }

  /** A failed invocation is a line in the log; what it owed comes again by itself. */
  async #safely<Answer>(
    what: string,
    run: (instance: Instance) => Promise<Answer>,
    most = functionMs,
  ): Promise<Answer | undefined> {
    try {
      return await this.invoke(run, most);
    } catch (error) {
      this.#parts.log(`${what} failed: ${String(error)}`);
      if (!isExpected(error)) this.#parts.defect(error);
      return undefined;
    }
  }

  #newInstance(): Instance {
    const { table, bucket: objects } = this.#parts;
    const caller: Caller = { isOver: false };
    const store = table.storeOf(caller);
    const binding = bindingOver(store, "pool");
    const { catalogue } = binding;
    const bucket = { presignGet: async (key: string) => `https://bucket.sim/${key}` };
    const push = this.#pushOf(caller);
    const following: Following = {
      store,
      bucket,
      push,
      assignWaiting: async (host) => await assignWaiting(binding, host),
    };
    const resolving = { store, catalogue, hosts: new Map<string, string>() };
    const http = {
      claims: claimsFunction({ ...resolving, settings, large: new Map() }),
      deployables: deployablesFunction(resolving),
      hosts: hostsFunction({ store, push }),
    };
    const ingesting: Ingesting = { store, bucket: objects.of(caller), settings: judging };
    return { caller, store, binding, following, ingesting, http };
  }

  #pushOf(caller: Caller): Push {
    const { time, random, gateway } = this.#parts;
    const way = async () => {
      await time.sleep(1 + random.below(8));
      if (caller.isOver) await new Promise<never>(() => undefined);
    };
    return {
      send: async (connection, message) => {
        const text = encodeMessage(message);
        await way();
        return gateway().push(connection, text);
      },
      close: async (connection) => {
        await way();
        gateway().closeByCloud(connection);
      },
    };
  }
}

/** What may go wrong outside of a function. */
function isExpected(error: unknown): boolean {
  if (error instanceof BucketUnavailable) return true;
  return isFault(error) && error.code !== "INTERNAL";
}

function changeOf(
  count: number,
  at: number,
  before: Item | undefined,
  after: Item | undefined,
): Change {
  return { id: `change-${count}`, at, before, after };
}
