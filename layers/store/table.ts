/**
 * The table port: what the store needs of DynamoDB and nothing more (design.md §4). One table, key
 * `pk`/`sk`, three sparse indexes. `dynamoTable` speaks to the real thing, `memoryTable` is the same
 * semantics in process; `test/conformance/table.ts` holds both to it.
 */

/** What an attribute may hold. A property whose value is `undefined` is not stored at all. */
export type Value =
  | string
  | number
  | boolean
  | null
  | readonly Value[]
  | { readonly [name: string]: Value | undefined };

/** One row. Rows that are stored carry a {@link Key}; index attributes are {@link indexKeys}. */
export type Item = { readonly [name: string]: Value | undefined };

/** The primary key of a row. Both parts are non-empty strings. */
export interface Key {
  readonly pk: string;
  readonly sk: string;
}

/** The three indexes; gsi3 has nothing but the keys of its rows ({@link keysOnly}). */
export type IndexName = "gsi1" | "gsi2" | "gsi3";

/**
 * Indexes that answer with keys alone, the row's and their own: a change of anything else of a row
 * costs nothing there.
 */
export const keysOnly: ReadonlySet<IndexName> = new Set<IndexName>(["gsi3"]);

/** The key attributes of each index. A row is in an index only while it has both of them. */
export const indexKeys = {
  gsi1: { pk: "gsi1pk", sk: "gsi1sk" },
  gsi2: { pk: "gsi2pk", sk: "gsi2sk" },
  gsi3: { pk: "gsi3pk", sk: "gsi3sk" },
} as const satisfies Record<IndexName, Key>;

/** The key attributes of an index, or of the table itself. */
export function keyAttributes(index: IndexName | undefined): Key {
  return index === undefined ? { pk: "pk", sk: "sk" } : indexKeys[index];
}

/** An attribute ("revision") or the way to one inside maps (["handles", "vf0", "fence"]). */
export type Path = string | readonly string[];

/**
 * What must hold of the row as it is before the write. A comparison with an attribute that is
 * absent or of another type is false (for "ne": true), as in DynamoDB.
 */
export type Condition =
  | { readonly op: "exists"; readonly path: Path }
  | { readonly op: "absent"; readonly path: Path }
  | { readonly op: "beginsWith"; readonly path: Path; readonly value: string }
  | { readonly op: "all"; readonly of: readonly Condition[] }
  | { readonly op: "any"; readonly of: readonly Condition[] }
  | { readonly op: "not"; readonly of: Condition }
  | Comparison;

/** A comparison with a value; "lt" to "ge" take strings and numbers only. */
interface Comparison {
  readonly op: "eq" | "ne" | "lt" | "le" | "gt" | "ge";
  readonly path: Path;
  readonly value: Value;
}

/**
 * One change of an update. A path into a map needs that map to exist (else the write is refused,
 * as DynamoDB does), so create the map first. `add` on an absent attribute starts at 0. All
 * changes of an update see the row as it was; their paths must not overlap.
 */
export type Change =
  | { readonly op: "set" | "setIfAbsent"; readonly path: Path; readonly value: Value }
  | { readonly op: "add"; readonly path: Path; readonly value: number }
  | { readonly op: "remove"; readonly path: Path };

/**
 * One row of a write. `put` replaces the whole row, `update` creates the row when it is absent and
 * no condition forbids it, `delete` of an absent row succeeds, `check` changes nothing.
 */
export type Write =
  | { readonly kind: "put"; readonly item: Item & Key; readonly if?: Condition }
  | {
      readonly kind: "update";
      readonly key: Key;
      readonly changes: readonly Change[];
      readonly if?: Condition;
      /**
       * May be applied twice: it only sets and removes, its condition reads nothing that it changes,
       * and to hear "refused" of an update that was applied does no harm, because the condition is
       * false by then. Alone, such an update costs half of what a conditional write costs.
       */
      readonly repeatable?: true;
    }
  | { readonly kind: "delete"; readonly key: Key; readonly if?: Condition }
  | { readonly kind: "check"; readonly key: Key; readonly if: Condition };

/** Rows of one partition in sort key order. Index queries are always eventually consistent. */
export interface Query {
  /** Absent: the table itself. */
  readonly index?: IndexName;
  readonly pk: string;
  /** `from` and `to` are both inclusive. */
  readonly sk?: { readonly beginsWith: string } | { readonly from?: string; readonly to?: string };
  /** Descending sort key order. */
  readonly reverse?: boolean;
  /** Most rows of one page, 1 or more. A page also ends at 1 MB. */
  readonly limit?: number;
  /** The `next` of the page before. Opaque; anything else is INVALID_REQUEST, field "after". */
  readonly after?: string;
  /** Read your own writes. Refused (INTERNAL) together with `index`. */
  readonly consistent?: boolean;
}

/** One page of rows; `next` is present while there may be more. */
export interface Page {
  readonly items: readonly Item[];
  readonly next?: string;
}

/**
 * Why one row stopped a write: its condition was false (`item` is the row as it was, absent when
 * there was none), or another transaction held the row (nothing is known; try again).
 */
export type Failure =
  | { readonly reason: "condition"; readonly item?: Item }
  | { readonly reason: "conflict" };

/** `failures` has one place per write, in the order given; at least one is set. */
export type WriteResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly failures: readonly (Failure | undefined)[] };

/**
 * The state table. Faults: TABLE_UNAVAILABLE (with retryAfterSeconds) when it did not answer or
 * throttled; INVALID_REQUEST for a bad page token (field "after") or limit (field "limit");
 * INTERNAL for what only a defect can ask for: more than 100 writes, one row twice, an empty or
 * oversized key, a row over 400 KB, a change that does not fit the row.
 */
export interface Table {
  /** One row; undefined when there is none. */
  get(key: Key, options?: { readonly consistent?: boolean }): Promise<Item | undefined>;
  /** Rows by key, consistently read, in the order given; duplicates are allowed. */
  getMany(keys: readonly Key[]): Promise<readonly (Item | undefined)[]>;
  query(query: Query): Promise<Page>;
  /** All or nothing; 1 to 100 rows, each row at most once. An empty list is `ok`. */
  write(writes: readonly Write[]): Promise<WriteResult>;
}
