import { type Marshalled, marshal } from "#store/marshal";
import {
  type Change,
  type Condition,
  keyAttributes,
  type Path,
  type Query,
  type Value,
} from "#store/table";
import type { KeyRange } from "#store/validate";

/** The expression parameters of one DynamoDB request; absent parts are left out. */
export interface Expression {
  ConditionExpression?: string;
  UpdateExpression?: string;
  KeyConditionExpression?: string;
  ExpressionAttributeNames?: Record<string, string>;
  ExpressionAttributeValues?: Record<string, Marshalled>;
}

/**
 * Every name goes through a placeholder, so that no attribute can collide with one of DynamoDB's
 * 573 reserved words; equal names share one, which keeps expressions short.
 */
class Placeholders {
  readonly #names = new Map<string, string>();
  readonly #values: Marshalled[] = [];

  path(path: Path): string {
    const segments = typeof path === "string" ? [path] : path;
    return segments.map((segment) => this.#name(segment)).join(".");
  }

  value(value: Value): string {
    this.#values.push(marshal(value));
    return `:${this.#values.length - 1}`;
  }

  parts(): Expression {
    const names = [...this.#names].map(([name, placeholder]) => [placeholder, name] as const);
    const values = this.#values.map((value, index) => [`:${index}`, value] as const);
    return {
      ...(names.length > 0 && { ExpressionAttributeNames: Object.fromEntries(names) }),
      ...(values.length > 0 && { ExpressionAttributeValues: Object.fromEntries(values) }),
    };
  }

  #name(segment: string): string {
    const known = this.#names.get(segment);
    if (known !== undefined) return known;
    const placeholder = `#${this.#names.size}`;
    this.#names.set(segment, placeholder);
    return placeholder;
  }
}

/** The parameters of a put, update, delete or check with these conditions and changes. */
export function compileWrite(parts: {
  readonly if?: Condition | undefined;
  readonly changes?: readonly Change[];
}): Expression {
  const placeholders = new Placeholders();
  const update = parts.changes === undefined ? "" : updateText(parts.changes, placeholders);
  const condition = parts.if === undefined ? "" : conditionText(parts.if, placeholders);
  return {
    ...(update !== "" && { UpdateExpression: update }),
    ...(condition !== "" && { ConditionExpression: condition }),
    ...placeholders.parts(),
  };
}

/** The key condition of a query; its range must have passed `keyRange`. */
export function compileQuery(query: Pick<Query, "index" | "pk">, range: KeyRange): Expression {
  const placeholders = new Placeholders();
  const keys = keyAttributes(query.index);
  const partition = `${placeholders.path(keys.pk)} = ${placeholders.value(query.pk)}`;
  const sort = rangeText(range, keys.sk, placeholders);
  return {
    KeyConditionExpression: sort === undefined ? partition : `${partition} AND ${sort}`,
    ...placeholders.parts(),
  };
}

const comparators = { eq: "=", ne: "<>", lt: "<", le: "<=", gt: ">", ge: ">=" } as const;

function conditionText(condition: Condition, placeholders: Placeholders): string {
  if (condition.op === "all") return joined(condition.of, "AND", placeholders);
  if (condition.op === "any") return joined(condition.of, "OR", placeholders);
  if (condition.op === "not") {
    const text = conditionText(condition.of, placeholders);
    // DynamoDB refuses redundant parentheses; a text that begins with one is a whole group.
    return text.startsWith("(") ? `NOT ${text}` : `NOT (${text})`;
  }
  const path = placeholders.path(condition.path);
  if (condition.op === "exists") return `attribute_exists(${path})`;
  if (condition.op === "absent") return `attribute_not_exists(${path})`;
  const value = placeholders.value(condition.value);
  if (condition.op === "beginsWith") return `begins_with(${path}, ${value})`;
  return `${path} ${comparators[condition.op]} ${value}`;
}

/** DynamoDB has no literals for true and false: an empty list becomes a statement about `pk`. */
function joined(of: readonly Condition[], word: "AND" | "OR", placeholders: Placeholders): string {
  const pk = of.length === 0 ? placeholders.path("pk") : "";
  if (pk !== "") {
    const other = word === "AND" ? "OR" : "AND";
    return `(attribute_exists(${pk}) ${other} attribute_not_exists(${pk}))`;
  }
  const texts = of.map((each) => conditionText(each, placeholders));
  return texts.length === 1 ? texts.join("") : `(${texts.join(` ${word} `)})`;
}

function updateText(changes: readonly Change[], placeholders: Placeholders): string {
  const sets: string[] = [];
  const removes: string[] = [];
  for (const change of changes) {
    const path = placeholders.path(change.path);
    if (change.op === "remove") removes.push(path);
    else sets.push(`${path} = ${operand(change, path, placeholders)}`);
  }
  const clauses = [];
  if (sets.length > 0) clauses.push(`SET ${sets.join(", ")}`);
  if (removes.length > 0) clauses.push(`REMOVE ${removes.join(", ")}`);
  return clauses.join(" ");
}

function operand(
  change: Exclude<Change, { op: "remove" }>,
  path: string,
  placeholders: Placeholders,
): string {
  const value = placeholders.value(change.value);
  if (change.op === "set") return value;
  if (change.op === "setIfAbsent") return `if_not_exists(${path}, ${value})`;
  // The ADD clause is documented for top-level attributes only; this form takes any path.
  return `if_not_exists(${path}, ${placeholders.value(0)}) + ${value}`;
}

function rangeText(
  range: KeyRange,
  sortKey: string,
  placeholders: Placeholders,
): string | undefined {
  const { beginsWith, from, to } = range;
  if (beginsWith === undefined && from === undefined && to === undefined) return undefined;
  const sk = placeholders.path(sortKey);
  if (beginsWith !== undefined) return `begins_with(${sk}, ${placeholders.value(beginsWith)})`;
  if (from === undefined) return `${sk} <= ${placeholders.value(to ?? "")}`;
  const low = placeholders.value(from);
  return to === undefined
    ? `${sk} >= ${low}`
    : `${sk} BETWEEN ${low} AND ${placeholders.value(to)}`;
}
