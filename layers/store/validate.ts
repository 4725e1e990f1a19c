import { Fault } from "#domain/faults";
import type { Change, Condition, Item, Key, Path, Query, Value, Write } from "#store/table";
import { indexKeys } from "#store/table";

/** Rows of one write: the limit of TransactWriteItems. */
const maxWrites = 100;

/** Bytes of a partition key, of a sort key and of a whole row: DynamoDB's limits. */
export const maxBytes = { pk: 2048, sk: 1024, item: 400 * 1024 } as const;

const utf8 = new TextEncoder();
const indexAttributes = new Map<string, "pk" | "sk">(
  Object.values(indexKeys).flatMap((keys) => [
    [keys.pk, "pk"],
    [keys.sk, "sk"],
  ]),
);

/** The row a write is about. */
export function keyOf(write: Write): Key {
  return write.kind === "put" ? { pk: write.item.pk, sk: write.item.sk } : write.key;
}

/** Refuses (INTERNAL) what DynamoDB would refuse for its shape alone, before any call is made. */
export function checkWrites(writes: readonly Write[]): void {
  if (writes.length > maxWrites) refuse(`${writes.length} rows in one write, at most ${maxWrites}`);
  const rows = new Set<string>();
  for (const write of writes) {
    const key = keyOf(write);
    checkKey(key);
    const row = JSON.stringify([key.pk, key.sk]);
    if (rows.has(row)) refuse(`${row} twice in one write`);
    rows.add(row);
    if (write.kind === "put") checkIndexAttributes(write.item);
    if (write.kind === "update") checkChanges(write.changes);
    if (write.kind === "update" && write.repeatable === true) checkRepeatable(write);
    if (write.if !== undefined) checkCondition(write.if);
  }
}

/** Refuses (INTERNAL) empty and oversized keys. */
export function checkKey(key: Key): void {
  checkKeyPart("pk", key.pk);
  checkKeyPart("sk", key.sk);
}

/** Bounds of a sort key that DynamoDB takes as they are; `from` and `to` are inclusive. */
export interface KeyRange {
  readonly beginsWith?: string;
  readonly from?: string;
  readonly to?: string;
}

/** Refuses a bad limit (INVALID_REQUEST, field "limit") and a consistent read of an index (INTERNAL). */
export function checkQuery({ index, pk, limit, consistent }: Query): void {
  checkKeyPart("pk", pk);
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit > 0)) {
    const detail = { field: "limit", expected: "1 or more" };
    throw new Fault("INVALID_REQUEST", "The limit is a whole number from 1", detail);
  }
  if (consistent === true && index !== undefined) refuse("Indexes lag behind");
}

/**
 * The sort key range of a query without what DynamoDB refuses: an empty bound becomes no bound.
 * `undefined` when nothing can match.
 */
export function keyRange({ sk = {} }: Query): KeyRange | undefined {
  if ("beginsWith" in sk) return sk.beginsWith === "" ? {} : sk;
  const { from = "", to } = sk;
  if (to === undefined) return from === "" ? {} : { from };
  if (to === "" || compareText(from, to) > 0) return undefined;
  return from === "" ? { to } : { from, to };
}

/** Orders strings as DynamoDB does, by their UTF-8 bytes; JavaScript's `<` orders UTF-16 units. */
export function compareText(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index += 1) {
    const a = left.charCodeAt(index);
    const b = right.charCodeAt(index);
    if (a !== b) return byteRank(a) - byteRank(b);
  }
  return left.length - right.length;
}

/** Bytes of a string in UTF-8. */
export function byteLength(text: string): number {
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) > 0x7f) return utf8.encode(text).length;
  }
  return text.length;
}

/** Throws INTERNAL: the caller asked for something that only a defect can ask for. */
export function refuse(message: string): never {
  throw new Fault("INTERNAL", message);
}

// Surrogates (above U+FFFF) sort behind U+E000–U+FFFF in UTF-8, before them in UTF-16.
function byteRank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}

function checkKeyPart(part: "pk" | "sk", value: Value | undefined, name: string = part): void {
  if (typeof value !== "string" || value === "") refuse(`${name} is not a non-empty string`);
  // No character takes more than 3 bytes per UTF-16 unit, so short strings need no encoding.
  if (value.length * 3 > maxBytes[part] && byteLength(value) > maxBytes[part]) {
    refuse(`${name} is longer than ${maxBytes[part]} bytes`);
  }
}

function checkIndexAttributes(item: Item): void {
  for (const [name, part] of indexAttributes) {
    const value = item[name];
    if (value !== undefined) checkKeyPart(part, value, name);
  }
}

function checkChanges(changes: readonly Change[]): void {
  if (changes.length === 0) refuse("An update needs a change");
  for (const [index, change] of changes.entries()) {
    const path = segments(change.path);
    const [name] = path;
    if (name === undefined) refuse("An update needs a path");
    if (name === "pk" || name === "sk") refuse(`An update cannot change ${name}`);
    if (changes.slice(0, index).some((other) => overlap(segments(other.path), path))) {
      refuse(`Two changes of ${path.join(".")} in one update`);
    }
    if (change.op !== "remove") checkIndexAttributes({ [name]: change.value });
  }
}

function checkRepeatable(write: Extract<Write, { kind: "update" }>): void {
  const read = write.if === undefined ? [] : pathsOf(write.if);
  for (const { op, path } of write.changes) {
    const changed = segments(path);
    if (op === "add" || op === "setIfAbsent") refuse(`An update that may be repeated cannot ${op}`);
    if (read.some((other) => overlap(other, changed))) {
      refuse(`An update that may be repeated changes ${changed.join(".")}, which it depends on`);
    }
  }
}

function pathsOf(condition: Condition): readonly (readonly string[])[] {
  if (condition.op === "not") return pathsOf(condition.of);
  if (condition.op === "all" || condition.op === "any") return condition.of.flatMap(pathsOf);
  return [segments(condition.path)];
}

function overlap(left: readonly string[], right: readonly string[]): boolean {
  const length = Math.min(left.length, right.length);
  return left.slice(0, length).every((segment, index) => segment === right[index]);
}

function checkCondition(condition: Condition): void {
  if (condition.op === "not") checkCondition(condition.of);
  if (condition.op === "all" || condition.op === "any") condition.of.forEach(checkCondition);
  if (["lt", "le", "gt", "ge"].includes(condition.op) && "value" in condition) {
    const type = typeof condition.value;
    if (type !== "string" && type !== "number") refuse(`A ${type} has no order`);
  }
}

/** A path as its segments. */
export function segments(path: Path): readonly string[] {
  return typeof path === "string" ? [path] : path;
}
