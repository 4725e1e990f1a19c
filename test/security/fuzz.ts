import * as fc from "fast-check";
import { isFault } from "#domain/faults";

/** `GATEHOUSE_FUZZ_RUNS=20 npx vitest run test/security` looks twenty times as long. */
export function runs(usual: number): { readonly numRuns: number } {
  return { numRuns: usual * Number(process.env["GATEHOUSE_FUZZ_RUNS"] ?? 1) };
}

/** What the work gives; undefined when it refuses with a typed fault. Any other throw is a defect. */
export function orFault<Result>(work: () => Result): Result | undefined {
  try {
    return work();
  } catch (error) {
    if (isFault(error) && error.code !== "INTERNAL") return undefined;
    throw error;
  }
}

/** As {@link orFault}, for work that takes time. */
export async function orFaultLater<Result>(
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isFault(error) && error.code !== "INTERNAL") return undefined;
    throw error;
  }
}

/** Names that mean something to JavaScript, and values that other languages stumble over. */
const nasty: readonly unknown[] = [
  null,
  true,
  0,
  -0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  "",
  "\0",
  "\r\n",
  "../..",
  "%2e%2e",
  "__proto__",
  "\ud800",
  "a".repeat(3000),
  [],
  {},
  [[[[[[]]]]]],
  { toString: 1, valueOf: null },
  { length: 1e9 },
  { constructor: { prototype: {} } },
  JSON.parse('{"__proto__":{"toString":1}}'),
];
const names = ["__proto__", "constructor", "toString", "length", "id", "type", "", "a.b", "0"];

/** Any JSON, the odd ones more often than chance would have them. */
export const anyJson: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(...nasty),
    fc.string({ unit: "binary", maxLength: 12 }),
    fc.integer(),
    fc.double(),
    fc.array(tie("value"), { maxLength: 4 }),
    fc
      .array(fc.tuple(fc.oneof(fc.constantFrom(...names), fc.string()), tie("value")), {
        maxLength: 4,
      })
      .map((entries) => Object.fromEntries(entries)),
  ),
})).value;

interface Change {
  readonly at: number;
  readonly kind: "replace" | "remove" | "add" | "double";
  readonly value: unknown;
}

const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(10_000),
  kind: fc.constantFrom("replace", "remove", "add", "double"),
  value: anyJson,
});

/** The value with one to three of its parts replaced, removed, added or doubled. */
export function mutated(valid: unknown): fc.Arbitrary<unknown> {
  return fc
    .array(change, { minLength: 1, maxLength: 3 })
    .map((changes) => changes.reduce(mutate, structuredClone(valid)));
}

function mutate(value: unknown, { at, kind, value: other }: Change): unknown {
  const places = placesOf(value, []);
  const place = places[at % places.length] ?? [];
  return changedAt(value, place, (old) => {
    if (kind === "double") return [old, old];
    if (kind === "add" && isRecord(old)) return { ...old, [names[at % names.length] ?? ""]: other };
    return kind === "remove" ? undefined : other;
  });
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function placesOf(value: unknown, here: readonly string[]): readonly (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [here];
  const inside = Object.entries(value).flatMap(([name, one]) => placesOf(one, [...here, name]));
  return [here, ...inside];
}

function changedAt(
  value: unknown,
  [name, ...rest]: readonly string[],
  by: (old: unknown) => unknown,
): unknown {
  if (name === undefined) return by(value);
  if (Array.isArray(value)) {
    const list = value as unknown[];
    return list.map((one, index) => (String(index) === name ? changedAt(one, rest, by) : one));
  }
  if (!isRecord(value)) return value;
  return { ...value, [name]: changedAt(value[name], rest, by) };
}

/** The value once for each of its parts, with that part replaced. */
export function eachReplaced(valid: unknown, by: unknown): readonly unknown[] {
  return placesOf(valid, []).map((place) => changedAt(valid, place, () => by));
}

const deep = (levels: number) =>
  JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`) as unknown;

/** Values on which turning into text, walking or measuring fails. */
export const wicked: readonly unknown[] = [
  { toString: 1, valueOf: null },
  [{ toString: null, valueOf: 1 }],
  deep(6000),
  { length: 1e9 },
  JSON.parse('{"__proto__":{"toString":1}}'),
  "\0\ud800".repeat(2000),
];

/** JSON of a value that may be too deep for JSON.stringify. */
export function wickedText(valid: unknown, index: number): readonly string[] {
  const mark = "\u0001here\u0001";
  const value = wicked[index];
  const text =
    value === wicked[2] ? `${"[".repeat(6000)}${"]".repeat(6000)}` : JSON.stringify(value);
  return eachReplaced(valid, mark).map((one) =>
    (JSON.stringify(one) ?? "").replace(JSON.stringify(mark), () => text ?? ""),
  );
}

/** A text with pieces cut out, doubled, or replaced by others. */
export function mutatedText(valid: string): fc.Arbitrary<string> {
  const odd = fc.oneof(
    fc.string({ unit: "binary", maxLength: 8 }),
    fc.constantFrom("\n", "\0", "0x", "-1", "99999999999999999999", "9".repeat(400), " ", "none"),
  );
  const one = fc.record({ from: fc.nat(valid.length), length: fc.nat(12), put: odd });
  return fc
    .array(one, { maxLength: 4 })
    .map((changes) =>
      changes.reduce(
        (text, { from, length, put }) => text.slice(0, from) + put + text.slice(from + length),
        valid,
      ),
    );
}

/** Bytes of which some are changed, cut off or put in. */
export function mutatedBytes(valid: Uint8Array): fc.Arbitrary<Uint8Array> {
  const at = fc.oneof(fc.nat(Math.min(valid.length, 512)), fc.nat(valid.length));
  const poke = fc.record({ at, bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }) });
  const pokes = fc.array(poke, { maxLength: 4 });
  return fc.record({ pokes, cut: fc.option(at, { nil: undefined }) }).map(({ pokes: all, cut }) => {
    const copy = Buffer.from(valid);
    for (const { at: where, bytes } of all) copy.set(bytes.subarray(0, copy.length - where), where);
    return copy.subarray(0, cut ?? copy.length);
  });
}
