import { Fault } from "#domain/faults";
import type { Item, Value } from "#store/table";

/**
 * A value in DynamoDB's JSON, as the API and the stream carry it. Only the types the table uses;
 * written out here because both the SDK's and aws-lambda's types fit it.
 */
export interface WireValue {
  readonly S?: string | undefined;
  readonly N?: string | undefined;
  readonly BOOL?: boolean | undefined;
  readonly NULL?: boolean | undefined;
  readonly L?: readonly WireValue[] | undefined;
  readonly M?: { readonly [name: string]: WireValue } | undefined;
}

/** What {@link marshal} makes: exactly one of the members. */
export type Marshalled =
  | { S: string }
  | { N: string }
  | { BOOL: boolean }
  | { NULL: true }
  | { L: Marshalled[] }
  | { M: Record<string, Marshalled> };

/**
 * One value for the wire. Properties that are `undefined` are left out.
 * Throws INTERNAL for a number that DynamoDB or JavaScript could not give back unchanged.
 */
export function marshal(value: Value): Marshalled {
  if (value === null) return { NULL: true };
  if (typeof value === "string") return { S: value };
  if (typeof value === "boolean") return { BOOL: value };
  if (typeof value === "number") return { N: numeral(value) };
  if (isList(value)) return { L: value.map(marshal) };
  return { M: marshalItem(value) };
}

/** A row or a map for the wire. */
export function marshalItem(item: Item): Record<string, Marshalled> {
  const wire: Record<string, Marshalled> = {};
  for (const name of Object.keys(item)) {
    const value = item[name];
    if (value !== undefined) setOwn(wire, name, marshal(value));
  }
  return wire;
}

/** Every row passes here, so no list of entries is made of it; and this one name would be no entry. */
function setOwn<Entry>(record: Record<string, Entry>, name: string, value: Entry): void {
  if (name !== "__proto__") record[name] = value;
  else
    Object.defineProperty(record, name, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
}

/** One value from the wire. Throws INTERNAL for a type the table never writes (sets, binary). */
function unmarshal(wire: WireValue): Value {
  if (wire.S !== undefined) return wire.S;
  if (wire.N !== undefined) return Number(wire.N);
  if (wire.BOOL !== undefined) return wire.BOOL;
  if (wire.NULL !== undefined) return null;
  if (wire.L !== undefined) return wire.L.map(unmarshal);
  if (wire.M !== undefined) return unmarshalItem(wire.M);
  throw new Fault("INTERNAL", `The table holds a value of type ${Object.keys(wire).join()}`);
}

/** A row, or an image of a stream record, from the wire. */
export function unmarshalItem(wire: { readonly [name: string]: WireValue }): Item {
  const item: Record<string, Value> = {};
  for (const name of Object.keys(wire)) {
    const value = wire[name];
    if (value !== undefined) setOwn(item, name, unmarshal(value));
  }
  return item;
}

/** Narrows to a list; `Array.isArray` alone does not narrow readonly arrays. */
export function isList(value: Value | undefined): value is readonly Value[] {
  return Array.isArray(value);
}

function numeral(value: number): string {
  if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) {
    throw new Fault("INTERNAL", `${value} cannot be stored exactly`);
  }
  return String(value);
}
