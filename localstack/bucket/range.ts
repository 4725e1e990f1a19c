import { S3Error } from "./errors.ts";
import type { ObjectEntry } from "./versions.ts";

/** The bytes `first..last` (inclusive) of an object. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * The range a Range header asks for, or undefined when the whole object is the answer: S3 ignores
 * units it does not know and lists of ranges. Throws InvalidRange when no byte of it exists.
 */
export function rangeOf(header: string | undefined, size: number): ByteRange | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? "");
  const [, from = "", to = ""] = match ?? [];
  if (from === "") return to === "" ? undefined : suffix(Number(to), size);
  const first = Number(from);
  const last = to === "" ? Infinity : Number(to);
  if (last < first) return undefined;
  if (first >= size) throw unsatisfiable(size);
  return { first, last: Math.min(last, size - 1) };
}

/** The bytes of one part; an object stored in one piece is its own part 1. Throws InvalidRange. */
export function partRange(entry: ObjectEntry, part: string): ByteRange {
  const number = Number(part);
  const segment = entry.segments[number - 1];
  if (!/^\d{1,5}$/.test(part) || segment === undefined) {
    throw new S3Error("InvalidRange", "The requested partnumber is not satisfiable");
  }
  const first = entry.segments.slice(0, number - 1).reduce((sum, { size }) => sum + size, 0);
  return { first, last: first + segment.size - 1 };
}

function suffix(length: number, size: number): ByteRange {
  if (length === 0 || size === 0) throw unsatisfiable(size);
  return { first: Math.max(size - length, 0), last: size - 1 };
}

function unsatisfiable(size: number): S3Error {
  return new S3Error("InvalidRange", "The requested range is not satisfiable", {
    facts: { ActualObjectSize: String(size) },
    headers: { "content-range": `bytes */${size}` },
  });
}
