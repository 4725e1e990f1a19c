import { itemSize } from "#store/evaluate";
import { decodePageToken, encodePageToken } from "#store/page-token";
import {
  type IndexName,
  type Item,
  type Key,
  keyAttributes,
  keysOnly,
  type Page,
  type Query,
} from "#store/table";
import { checkQuery, compareText, type KeyRange, keyRange } from "#store/validate";

/** DynamoDB answers a query with at most this many bytes of rows. */
const pageBytes = 1024 * 1024;

/** One row that changed: what a stream record says, without the wire format. */
export interface RowChange {
  readonly key: Key;
  readonly before?: Item;
  readonly after?: Item;
}

type Partitions = Map<string, Map<string, Item>>;

/** Rows by partition, once by their own key and once per index. */
export interface MemoryRows {
  readonly find: (key: Key) => Item | undefined;
  readonly store: (change: RowChange) => void;
  readonly query: (query: Query) => Page;
  readonly all: () => readonly Item[];
}

/** An empty set of rows. */
export function memoryRows(): MemoryRows {
  const base: Partitions = new Map();
  const sizes = sizesOnce();
  const indexes = { gsi1: new Map(), gsi2: new Map(), gsi3: new Map() } satisfies Record<
    IndexName,
    Partitions
  >;
  return {
    find: (key) => base.get(key.pk)?.get(rowId(key)),
    store: (change) => {
      move(base, keyAttributes(undefined), change);
      for (const name of ["gsi1", "gsi2", "gsi3"] as const) {
        move(indexes[name], keyAttributes(name), projected(name, change));
      }
    },
    query: (query) =>
      queryPartitions(query.index === undefined ? base : indexes[query.index], query, sizes),
    all: () => [...base.values()].flatMap((partition) => [...partition.values()]).sort(byKey),
  };
}

/** The change as the index sees it. */
function projected(name: IndexName, change: RowChange): RowChange {
  const { after } = change;
  if (after === undefined || !keysOnly.has(name)) return change;
  const keys = [keyAttributes(undefined), keyAttributes(name)].flatMap(({ pk, sk }) => [pk, sk]);
  const entries = keys.flatMap((key) => (after[key] === undefined ? [] : [[key, after[key]]]));
  return { ...change, after: Object.freeze(Object.fromEntries(entries) as Item) };
}

/** A row is in an index only while it has both of its key attributes. */
function move(partitions: Partitions, keys: Key, { key, before, after }: RowChange): void {
  const left = partitionOf(before, keys);
  if (left !== undefined) {
    partitions.get(left)?.delete(rowId(key));
    if (partitions.get(left)?.size === 0) partitions.delete(left);
  }
  const entered = partitionOf(after, keys);
  if (entered === undefined || after === undefined) return;
  const partition = partitions.get(entered) ?? new Map<string, Item>();
  partitions.set(entered, partition.set(rowId(key), after));
}

function partitionOf(item: Item | undefined, keys: Key): string | undefined {
  const pk = item?.[keys.pk];
  return typeof pk === "string" && item?.[keys.sk] !== undefined ? pk : undefined;
}

/** Sizes of rows, each worked out once: a row never changes, it is only replaced. */
function sizesOnce(): (item: Item) => number {
  const known = new WeakMap<Item, number>();
  return (item) => {
    const size = known.get(item) ?? itemSize(item);
    known.set(item, size);
    return size;
  };
}

function queryPartitions(
  partitions: Partitions,
  query: Query,
  sizeOf: (item: Item) => number,
): Page {
  checkQuery(query);
  const range = keyRange(query);
  const start = query.after === undefined ? undefined : decodePageToken(query, query.after);
  if (range === undefined) return { items: [] };
  const sort = keyAttributes(query.index).sk;
  const sign = query.reverse === true ? -1 : 1;
  const compare = (a: Item, b: Item) =>
    sign * (compareText(text(a, sort), text(b, sort)) || byKey(a, b));
  const found = [...(partitions.get(query.pk)?.values() ?? [])]
    .filter((item) => within(text(item, sort), range))
    .filter((item) => start === undefined || compare(item, start) > 0)
    .sort(compare);
  return page(query, found, sizeOf);
}

function within(sk: string, { beginsWith = "", from = "", to }: KeyRange): boolean {
  if (!sk.startsWith(beginsWith) || compareText(sk, from) < 0) return false;
  return to === undefined || compareText(sk, to) <= 0;
}

function page(query: Query, found: readonly Item[], sizeOf: (item: Item) => number): Page {
  const items: Item[] = [];
  let bytes = 0;
  for (const item of found) {
    items.push(item);
    bytes += sizeOf(item);
    if (items.length === query.limit || bytes >= pageBytes) {
      return { items, next: encodePageToken(query, item) };
    }
  }
  return { items };
}

function rowId(key: Key): string {
  return JSON.stringify([key.pk, key.sk]);
}

function byKey(a: Item, b: Item): number {
  return compareText(text(a, "pk"), text(b, "pk")) || compareText(text(a, "sk"), text(b, "sk"));
}

/** A key attribute; that it is a string was checked when the row was written. */
function text(item: Item, name: string): string {
  const value = item[name];
  return typeof value === "string" ? value : "";
}
