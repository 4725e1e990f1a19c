import { isUuid, uuidOf } from "#protocol/uuid";
import { refusal } from "./errors.ts";

/**
 * The uuid a text means, in lower case with dashes; undefined when it is none. OpenStack takes upper
 * case, no dashes, braces and `urn:uuid:` too.
 */
export function asUuid(text: unknown): string | undefined {
  if (typeof text !== "string" || text.length > 64) return undefined;
  const bare = text.toLowerCase().replace(/^urn:uuid:/, "");
  const digits = bare.replaceAll(/[{}-]/g, "");
  if (!/^[0-9a-f]{32}$/.test(digits)) return undefined;
  const uuid = digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  return isUuid(uuid) ? uuid : undefined;
}

/** The uuid of a path or a query argument; 400 names the field. */
export function uuidArgument(value: string, field = "uuid"): string {
  const uuid = asUuid(value);
  if (uuid !== undefined) return uuid;
  throw refusal(
    400,
    `Invalid input for field/attribute ${field}. Value: '${value}'. unable to convert to uuid. Error: Expected a uuid but received ${value}.`,
  );
}

/** A uuid in a body; 400. */
export function uuidMember(value: unknown): string {
  const uuid = asUuid(value);
  if (uuid !== undefined) return uuid;
  throw refusal(400, `Expected a uuid but received ${told(value)}.`);
}

/** The integer that Cyborg shows for a row: the first 31 bits of its uuid. */
export function cyborgNumber(uuid: string): number {
  return Number.parseInt(uuid.slice(0, 8), 16) >>> 1;
}

/** The first eight digits that ids with this number can have. */
export function prefixesOf(number: number): readonly string[] {
  return [number * 2, number * 2 + 1].map((first) => first.toString(16).padStart(8, "0"));
}

/** A handle's uuid: the same for as long as the card is. */
export function handleId(deployable: string, name: string): string {
  return uuidOf("handle", deployable, name);
}

/** An attribute's uuid begins as its deployable's does, so that it can be found by it alone. */
export function attributeId(deployable: string, ...parts: readonly string[]): string {
  return deployable.slice(0, 8) + uuidOf("attribute", deployable, ...parts).slice(8);
}

/** Longest part of a request that its refusal repeats. */
const longestTold = 200;

/**
 * A member of a request as its refusal names it. An object is only said to be one: its own `toString`
 * need not be a function, and its brackets may be thousands deep.
 */
export function told(value: unknown): string {
  if (typeof value === "object" && value !== null)
    return Array.isArray(value) ? "a list" : "an object";
  return String(value).slice(0, longestTold);
}
