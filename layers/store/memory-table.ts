import { applyChanges, holds, itemSize } from "#store/evaluate";
import { isList, marshal } from "#store/marshal";
import { type MemoryRows, memoryRows, type RowChange } from "#store/memory-rows";
import type { Failure, Item, Table, Value, Write, WriteResult } from "#store/table";
import { checkKey, checkWrites, keyOf, maxBytes, refuse } from "#store/validate";

/** A table in this process. Rows it hands out are frozen. */
export interface MemoryTable extends Table {
  /** Every row, in key order. */
  items(): readonly Item[];
  /** Hears each change after its write, in order; returns the way to stop. A throw reaches the writer. */
  onChange(listener: (change: RowChange) => void): () => void;
}

/**
 * The table port in memory, for unit tests and the simulator: the same conditions, transactions,
 * sparse indexes, pages and refusals as `dynamoTable`. It never reports a conflict, because a
 * write here is one step.
 */
export function memoryTable(): MemoryTable {
  const rows = memoryRows();
  const listeners = new Set<(change: RowChange) => void>();
  return {
    get: async (key) => {
      checkKey(key);
      return rows.find(key);
    },
    getMany: async (keys) => {
      keys.forEach(checkKey);
      return keys.map(rows.find);
    },
    query: async (query) => rows.query(query),
    write: async (writes) => {
      checkWrites(writes);
      const failures = writes.map((write) => failure(write, rows.find(keyOf(write))));
      if (failures.some((each) => each !== undefined)) return { ok: false, failures };
      return committed(writes, rows, listeners);
    },
    items: rows.all,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Every row is made before any is stored: that makes a transaction all or nothing. */
function committed(
  writes: readonly Write[],
  rows: MemoryRows,
  listeners: ReadonlySet<(change: RowChange) => void>,
): WriteResult {
  const changes = writes.flatMap((write) => rowChange(write, rows.find(keyOf(write))));
  for (const change of changes) rows.store(change);
  for (const change of changes) for (const hear of listeners) hear(change);
  return { ok: true };
}

function failure(write: Write, before: Item | undefined): Failure | undefined {
  if (write.if === undefined || holds(write.if, before)) return undefined;
  return before === undefined ? { reason: "condition" } : { reason: "condition", item: before };
}

function rowChange(write: Write, before: Item | undefined): RowChange[] {
  if (write.kind === "check") return [];
  const after = write.kind === "delete" ? undefined : rowAfter(write, before);
  if (before === undefined && after === undefined) return [];
  return [{ key: keyOf(write), ...(before && { before }), ...(after && { after }) }];
}

function rowAfter(
  write: Extract<Write, { kind: "put" | "update" }>,
  before: Item | undefined,
): Item {
  const row =
    write.kind === "put" ? write.item : applyChanges(before ?? { ...write.key }, write.changes);
  if (itemSize(row) > maxBytes.item) refuse(`A row is larger than ${maxBytes.item} bytes`);
  return frozenMap(row);
}

/** A private, frozen copy of what can be stored, without `undefined` properties, as a round trip through DynamoDB gives. */
function frozenMap(map: Item): Item {
  const entries: [string, Value][] = [];
  for (const [name, value] of Object.entries(map)) {
    if (value !== undefined) entries.push([name, frozen(value)]);
  }
  return Object.freeze(Object.fromEntries(entries));
}

function frozen(value: Value): Value {
  if (typeof value === "number") marshal(value);
  if (typeof value !== "object" || value === null) return value;
  return isList(value) ? Object.freeze(value.map(frozen)) : frozenMap(value);
}
