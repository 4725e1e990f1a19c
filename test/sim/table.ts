import { Fault } from "#domain/faults";
import { type MemoryRows, memoryRows, type RowChange } from "#store/memory-rows";
import { type MemoryTable, memoryTable } from "#store/memory-table";
import type { Store } from "#store/store";
import type { Item, Key, Page, Query, Table, Write, WriteResult } from "#store/table";
import type { Faults } from "./faults.ts";
import type { Known, Plant } from "./plants.ts";
import { hashOf, type Random } from "./random.ts";
import type { Time } from "./time.ts";

/** What a table is made of. */
export interface TableParts {
  readonly time: Time;
  readonly faults: Faults;
  readonly random: Random;
  readonly plant?: Plant | undefined;
  readonly known: Known;
  /** Hears every transaction at the moment it is done. */
  readonly committed: (changes: readonly RowChange[]) => void;
}

/** A process that calls the table; once it is over it never hears an answer. */
export interface Caller {
  isOver: boolean;
}

const never = <Value>(): Promise<Value> => new Promise(() => undefined);
const unavailable = () => new Fault("TABLE_UNAVAILABLE", undefined, { retryAfterSeconds: 1 });

/** Usual time of one call, ms; two calls of one moment may come in either order. */
const callMs = 12;
const lanes = 8;

/**
 * The state table of a run with the faults of a network before it. Conditions, transactions and
 * indexes are the memory table's own; indexes lag as DynamoDB's may, in order per key.
 */
export class SimTable {
  readonly rows: MemoryTable = memoryTable();
  readonly #parts: TableParts;
  readonly #lagging: MemoryRows = memoryRows();
  readonly #behind: { at: number; readonly changes: { at: number; change: RowChange }[] }[];
  #changes: RowChange[] = [];
  /** Calls, for the rate that is printed. */
  calls = 0;

  constructor(parts: TableParts) {
    this.#parts = parts;
    this.#behind = Array.from({ length: lanes }, () => ({ at: 0, changes: [] }));
    this.rows.onChange((change) => this.#changes.push(change));
  }

  /** The table itself, for what is there before the first fault. */
  get plain(): Table {
    return { ...this.rows, write: (writes) => this.#commit(writes) };
  }

  /** The store of one process. */
  storeOf(caller: Caller): Store {
    const { time, random } = this.#parts;
    return {
      table: this.#tableOf(caller),
      now: time.wall,
      random: random.next,
      sleep: async (ms) => {
        await time.sleep(ms);
        if (caller.isOver) await never();
      },
    };
  }

  #tableOf(caller: Caller): Table {
    return {
      get: (key, options) => this.#call(caller, async () => this.#get(key, options?.consistent)),
      getMany: (keys) => this.#call(caller, () => this.rows.getMany(keys)),
      query: (query) => this.#call(caller, async () => await this.#query(query)),
      write: (writes) => this.#write(caller, writes),
    };
  }

  async #call<Value>(caller: Caller, act: () => Promise<Value>): Promise<Value> {
    const { faults, random } = this.#parts;
    await this.#way(caller);
    if (faults.strikes("throttle", random)) throw unavailable();
    const value = await act();
    if (faults.strikes("timeout", random)) throw unavailable();
    return value;
  }

  /** The way to the table: time passes, and the caller may end. */
  async #way(caller: Caller): Promise<void> {
    const { time, faults, random } = this.#parts;
    this.calls += 1;
    await time.sleep(1 + random.below(callMs));
    if (faults.strikes("function-crash", random)) caller.isOver = true;
    if (caller.isOver) await never();
  }

  async #write(caller: Caller, writes: readonly Write[]): Promise<WriteResult> {
    const { time, faults, random } = this.#parts;
    await this.#way(caller);
    if (faults.strikes("throttle", random)) throw unavailable();
    if (writes.length > 1 && faults.strikes("conflict", random)) {
      const struck = random.below(writes.length);
      return {
        ok: false,
        failures: writes.map((_, index) => (index === struck ? { reason: "conflict" } : undefined)),
      };
    }
    if (faults.strikes("late-write", random)) {
      time.after(random.below(5000), () => void this.#commit(writes));
      throw unavailable();
    }
    const result = await this.#commit(writes);
    if (faults.strikes("function-crash", random)) caller.isOver = true;
    if (caller.isOver) await never();
    if (faults.strikes("timeout", random)) throw unavailable();
    return result;
  }

  #commit(writes: readonly Write[]): Promise<WriteResult> {
    const { plant, known } = this.#parts;
    const planted = plant?.writes === undefined ? writes : plant.writes(writes, known);
    const result = this.rows.write(planted);
    const changes = this.#changes;
    this.#changes = [];
    if (changes.length > 0) this.#taken(changes);
    return result;
  }

  #taken(changes: readonly RowChange[]): void {
    const { time, faults, random, committed } = this.#parts;
    for (const change of changes) {
      const lane = this.#behind[hashOf(change.key.pk) % lanes];
      if (lane === undefined) continue;
      const lag = faults.strikes("index-lag", random) ? random.below(4000) : random.below(10);
      lane.at = Math.max(lane.at, time.elapsed + lag);
      lane.changes.push({ at: lane.at, change });
    }
    committed(changes);
  }

  #get(key: Key, consistent: boolean | undefined): Promise<Item | undefined> {
    if (consistent === true) return this.rows.get(key);
    this.#catchUp();
    return Promise.resolve(this.#lagging.find(key));
  }

  async #query(query: Query): Promise<Page> {
    if (query.consistent === true) return await this.rows.query(query);
    this.#catchUp();
    return this.#lagging.query(query);
  }

  #catchUp(): void {
    const now = this.#parts.time.elapsed;
    for (const lane of this.#behind) {
      let done = 0;
      for (const { at, change } of lane.changes) {
        if (at > now) break;
        this.#lagging.store(change);
        done += 1;
      }
      if (done > 0) lane.changes.splice(0, done);
    }
  }
}
