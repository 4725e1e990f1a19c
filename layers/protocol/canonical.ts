import { createHash } from "node:crypto";

/** Values that have one canonical form. Numbers must be safe integers: fractions have no stable text. */
export type Canonical =
  | string
  | number
  | boolean
  | null
  | readonly Canonical[]
  | { readonly [name: string]: Canonical | undefined };

/**
 * Canonical JSON for signatures and digests: members sorted by code unit, no white space, absent
 * members left out (the subset of RFC 8785 that needs no floating point rules).
 * Throws TypeError for a number that is not a safe integer.
 */
export function canonicalJson(value: Canonical): string {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new TypeError(`no canonical form for the number ${value}`);
  }
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) {
    return `[${value.map((entry: Canonical) => canonicalJson(entry)).join(",")}]`;
  }
  const object = value as { readonly [name: string]: Canonical | undefined };
  const members = Object.keys(object)
    .sort()
    .flatMap((name) => {
      const member = object[name];
      return member === undefined ? [] : [`${JSON.stringify(name)}:${canonicalJson(member)}`];
    });
  return `{${members.join(",")}}`;
}

/** sha256 over the canonical form, lower-case hex. */
export function canonicalDigest(value: Canonical): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}
