import type { Item, Key, Value } from "#store/table";

/** Whole objects are kept under `value`; attributes that conditions or indexes use stand beside it. */

/** A row that holds a domain object. */
export function rowOf(
  key: Key,
  type: string,
  value: object,
  attributes: { readonly [name: string]: Value | undefined } = {},
): Item & Key {
  return { ...key, type, value: value as unknown as Value, ...attributes };
}

/** The object a row holds. Rows are only written through {@link rowOf}, so the shape is known. */
export function valueOf<Entity>(item: Item): Entity {
  return item["value"] as unknown as Entity;
}

/** The object of a row that may be absent. */
export function valueOrUndefined<Entity>(item: Item | undefined): Entity | undefined {
  return item === undefined ? undefined : valueOf<Entity>(item);
}

/** Seconds since the epoch, as DynamoDB's time to live wants it. Expired means absent. */
export function expiry(now: number, lifeMs: number): number {
  return Math.ceil((now + lifeMs) / 1000);
}

/** True when a row's time to live has passed, whether or not DynamoDB has removed it yet. */
export function isExpired(item: Item, now: number): boolean {
  const at = item["expiresAt"];
  return typeof at === "number" && at * 1000 <= now;
}
