import { isList } from "#store/marshal";
import type { Change, Condition, Item, Path, Value } from "#store/table";
import { byteLength, compareText, refuse, segments } from "#store/validate";

/** Whether a condition holds of a row (`undefined`: there is none), exactly as DynamoDB has it. */
export function holds(condition: Condition, row: Item | undefined): boolean {
  if (condition.op === "all") return condition.of.every((each) => holds(each, row));
  if (condition.op === "any") return condition.of.some((each) => holds(each, row));
  if (condition.op === "not") return !holds(condition.of, row);
  const value = at(row, condition.path);
  if (condition.op === "exists") return value !== undefined;
  if (condition.op === "absent") return value === undefined;
  if (condition.op === "beginsWith") {
    return typeof value === "string" && value.startsWith(condition.value);
  }
  if (condition.op === "eq") return same(value, condition.value);
  if (condition.op === "ne") return !same(value, condition.value);
  return ordered(condition.op, order(value, condition.value));
}

/**
 * The row after the changes. Throws INTERNAL when one does not fit the row: a way through an
 * absent map, or `add` to something that is no number.
 */
export function applyChanges(row: Item, changes: readonly Change[]): Item {
  return changes.reduce((item, change) => changed(item, segments(change.path), change), row);
}

/** Size of a row as DynamoDB counts it towards its 400 KB, in bytes. */
export function itemSize(item: Item): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(item)) bytes += byteLength(name) + valueSize(value);
  return bytes;
}

/** Equality of type and content; the order of a map's properties does not count. */
function same(left: Value | undefined, right: Value | undefined): boolean {
  if (left === right) return true;
  if (isList(left)) {
    return isList(right) && left.length === right.length && left.every((v, i) => same(v, right[i]));
  }
  if (!isMap(left) || !isMap(right)) return false;
  const names = Object.keys(left).filter((name) => left[name] !== undefined);
  const others = Object.keys(right).filter((name) => right[name] !== undefined);
  return names.length === others.length && names.every((name) => same(left[name], right[name]));
}

function at(row: Item | undefined, path: Path): Value | undefined {
  let value: Value | undefined = row;
  for (const segment of segments(path)) {
    if (!isMap(value) || !Object.hasOwn(value, segment)) return undefined;
    value = value[segment];
  }
  return value;
}

/** Negative, zero or positive; `undefined` when the two cannot be compared. */
function order(left: Value | undefined, right: Value): number | undefined {
  if (typeof left === "number" && typeof right === "number") return left - right;
  if (typeof left === "string" && typeof right === "string") return compareText(left, right);
  return undefined;
}

function ordered(op: "lt" | "le" | "gt" | "ge", sign: number | undefined): boolean {
  if (sign === undefined) return false;
  if (sign === 0) return op === "le" || op === "ge";
  return sign < 0 ? op === "lt" || op === "le" : op === "gt" || op === "ge";
}

function changed(map: Item, path: readonly string[], change: Change): Item {
  const [name, ...rest] = path;
  if (name === undefined) return refuse("An update needs a path");
  if (rest.length > 0) {
    const inner = Object.hasOwn(map, name) ? map[name] : undefined;
    if (!isMap(inner)) return refuse(`No map at ${name} to change ${rest.join(".")} in`);
    return { ...map, [name]: changed(inner, rest, change) };
  }
  if (change.op === "remove") {
    return Object.fromEntries(Object.entries(map).filter(([other]) => other !== name));
  }
  return { ...map, [name]: result(Object.hasOwn(map, name) ? map[name] : undefined, change) };
}

function result(present: Value | undefined, change: Exclude<Change, { op: "remove" }>): Value {
  if (change.op === "add") {
    if (present !== undefined && typeof present !== "number")
      refuse("Only numbers can be added to");
    return (present ?? 0) + change.value;
  }
  return change.op === "setIfAbsent" && present !== undefined ? present : change.value;
}

function isMap(value: Value | undefined): value is { readonly [name: string]: Value | undefined } {
  return typeof value === "object" && value !== null && !isList(value);
}

function valueSize(value: Value | undefined): number {
  if (value === undefined) return 0;
  if (typeof value === "string") return byteLength(value);
  if (typeof value === "number") return Math.ceil(String(value).length / 2) + 1;
  if (isList(value)) return value.reduce<number>((sum, each) => sum + valueSize(each) + 1, 3);
  if (isMap(value)) return itemSize(value) + Object.keys(value).length + 3;
  return 1;
}
