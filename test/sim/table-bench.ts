import type { RowChange } from "#store/memory-rows";
import type { Table, Write } from "#store/table";
import { certain, faultsOf } from "./certain.ts";
import type { FaultKind } from "./faults.ts";
import type { Plant } from "./plants.ts";
import type { Random } from "./random.ts";
import { type Caller, SimTable } from "./table.ts";
import { Time } from "./time.ts";

/** A row to write. */
export const key = { pk: "HOST#1", sk: "HOST" };
/** Another row. */
export const other = { pk: "HOST#2", sk: "HOST" };
/** A row of one of these keys with a value. */
export const put = (at: typeof key, value: number): Write => ({
  kind: "put",
  item: { ...at, value },
});
/** What a call is answered that is not served. */
export const unavailable = { code: "TABLE_UNAVAILABLE", detail: { retryAfterSeconds: 1 } };

/** A simulated table with the one process that calls it. */
export interface Bench {
  readonly time: Time;
  readonly sim: SimTable;
  readonly caller: Caller;
  readonly table: Table;
  /** Transactions in the order in which they were done. */
  readonly commits: (readonly RowChange[])[];
  /** Ends all faults. */
  readonly stop: () => void;
}

/** A table with these faults, each of which strikes whenever it may. */
export function bench(
  kinds: readonly FaultKind[],
  parts: { readonly random?: Random; readonly plant?: Plant } = {},
): Bench {
  const time = new Time(certain(2));
  const commits: (readonly RowChange[])[] = [];
  const faults = faultsOf(...kinds);
  const sim = new SimTable({
    time,
    faults,
    random: certain(),
    known: () => undefined,
    committed: (changes) => commits.push(changes),
    ...parts,
  });
  const caller = { isOver: false };
  const { table } = sim.storeOf(caller);
  return { time, sim, caller, table, commits, stop: () => faults.stop() };
}

/** An answer, a refusal, or neither. */
export type Outcome<Value> = { readonly value: Value } | { readonly error: unknown } | "silence";

/** What comes of a call by the moment it is answered, or when nothing is left that could answer. */
export async function outcomeOf<Value>(
  { time }: Bench,
  call: Promise<Value>,
): Promise<Outcome<Value>> {
  let outcome: Outcome<Value> = "silence";
  call.then(
    (value) => {
      outcome = { value };
    },
    (error: unknown) => {
      outcome = { error };
    },
  );
  await time.run(() => outcome !== "silence");
  return outcome;
}

/** Lets everything happen that is still on its way. */
export async function rest({ time }: Bench): Promise<void> {
  await time.run(() => false);
}

/** Lets so many ms pass. */
export async function pass({ time }: Bench, ms: number): Promise<void> {
  const until = time.elapsed + ms;
  time.after(ms, () => undefined);
  await time.run(() => time.elapsed >= until);
}

/** The row as it is, by the table's own account. */
export const truth = async ({ sim }: Bench, at = key) =>
  (await sim.plain.get(at, { consistent: true }))?.["value"];
