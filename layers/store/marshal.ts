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
  const entries: [string, Marshalled][] = [];
  for (const [name, value] of Object.entries(item)) {
    if (value !== undefined) entries.push([name, marshal(value)]);
  }
  return Object.fromEntries(entries);
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
  return Object.fromEntries(Object.entries(wire).map(([name, value]) => [name, unmarshal(value)]));
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
