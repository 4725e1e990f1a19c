import type { Change, Condition, Path, Value } from "#store/table";

/** The attribute is there, whatever its value. */
export function exists(path: Path): Condition {
  return { op: "exists", path };
}

/** The attribute is not there; of the key attribute `pk`: the row is not there. */
export function absent(path: Path): Condition {
  return { op: "absent", path };
}

/** Equal in type and value. */
export function eq(path: Path, value: Value): Condition {
  return { op: "eq", path, value };
}

/** Not equal; true also when the attribute is absent. */
export function ne(path: Path, value: Value): Condition {
  return { op: "ne", path, value };
}

/** Less than; strings by their UTF-8 bytes. */
export function lt(path: Path, value: Value): Condition {
  return { op: "lt", path, value };
}

/** Less than or equal. */
export function le(path: Path, value: Value): Condition {
  return { op: "le", path, value };
}

/** Greater than; strings by their UTF-8 bytes. */
export function gt(path: Path, value: Value): Condition {
  return { op: "gt", path, value };
}

/** Greater than or equal. */
export function ge(path: Path, value: Value): Condition {
  return { op: "ge", path, value };
}

/** A string attribute that starts with `value`. */
export function beginsWith(path: Path, value: string): Condition {
  return { op: "beginsWith", path, value };
}

/** All hold; true for none. */
export function all(...of: readonly Condition[]): Condition {
  return { op: "all", of };
}

/** At least one holds; false for none. */
export function any(...of: readonly Condition[]): Condition {
  return { op: "any", of };
}

/** The condition does not hold. */
export function not(of: Condition): Condition {
  return { op: "not", of };
}

/** Writes the attribute. */
export function set(path: Path, value: Value): Change {
  return { op: "set", path, value };
}

/** Writes the attribute unless it is there. */
export function setIfAbsent(path: Path, value: Value): Change {
  return { op: "setIfAbsent", path, value };
}

/** Adds to a number; an absent attribute counts as 0. */
export function add(path: Path, value: number): Change {
  return { op: "add", path, value };
}

/** Removes the attribute; of an absent one: nothing. */
export function remove(path: Path): Change {
  return { op: "remove", path };
}
