import { createHash } from "node:crypto";
import { Fault } from "#domain/faults";
import { type Item, keyAttributes, type Query } from "#store/table";

type Partition = Pick<Query, "index" | "pk">;

/**
 * Where a page ended, as an opaque text for the caller. The digest binds it to its partition, so
 * that a token of another list is refused. It is no secret: a forged token could only start the
 * same partition, which the caller may read anyway, at another row.
 */
export function encodePageToken(query: Partition, last: Item): string {
  const values = attributes(query).map((name) => last[name]);
  return Buffer.from(JSON.stringify([digest(query, values), ...values])).toString("base64url");
}

/** The key to start after. Throws INVALID_REQUEST, field "after", for anything else than a token. */
export function decodePageToken(query: Partition, token: string): Record<string, string> {
  const names = attributes(query);
  const [sum, ...values] = parsed(token);
  if (values.length !== names.length || sum !== digest(query, values)) throw unknownToken();
  return Object.fromEntries(names.map((name, index) => [name, text(values[index])]));
}

function attributes(query: Partition): readonly string[] {
  if (query.index === undefined) return ["pk", "sk"];
  const keys = keyAttributes(query.index);
  return ["pk", "sk", keys.pk, keys.sk];
}

function digest(query: Partition, values: readonly unknown[]): string {
  const bound = JSON.stringify([query.index ?? "", query.pk, values]);
  return createHash("sha256").update(bound).digest("base64url").slice(0, 12);
}

function parsed(token: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, "base64url").toString());
    if (Array.isArray(value)) return value as readonly unknown[];
  } catch {
    // Falls through: whatever is no JSON is no token.
  }
  throw unknownToken();
}

function text(value: unknown): string {
  if (typeof value !== "string") throw unknownToken();
  return value;
}

function unknownToken(): Fault {
  return new Fault("INVALID_REQUEST", "Not a page of this list", {
    field: "after",
    expected: "the `next` of the page before",
  });
}
