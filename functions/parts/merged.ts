import { Fault } from "#domain/faults";
import type { List, Wanted } from "#store/lists";

/** One of the lists that are merged; it must not pass over entries between others. */
export type Source<Entry> = (wanted: Wanted) => Promise<List<Entry>>;

/** Where a source goes on; null = it has ended. */
type Place = string | null | undefined;

/**
 * One page of two lists in one order. Each source is read as far as the page may need it, and the one
 * that gave fewer entries than it was asked for is asked again for exactly those, because its token
 * stands behind the last entry it gave. Throws INVALID_REQUEST, field `after`, for a foreign token.
 */
export async function mergedPage<Entry>(
  sources: readonly [Source<Entry>, Source<Entry>],
  isBefore: (one: Entry, other: Entry) => boolean,
  { limit = 50, after }: Wanted,
): Promise<List<Entry>> {
  const places = readToken(after);
  const pages = await Promise.all(
    sources.map(async (source, index) => await read(source, places[index], limit)),
  );
  const [first = [], second = []] = pages.map((page) => page.items);
  const taken = firstOf(first, second, { isBefore, limit });
  const next = await Promise.all(
    sources.map(async (source, index) => {
      const used = taken.counts[index] ?? 0;
      const page = pages[index];
      if (page === undefined || used === 0) return page?.items.length === 0 ? null : places[index];
      if (used === page.items.length) return page.next ?? null;
      return (await read(source, places[index], used)).next ?? null;
    }),
  );
  return next.every((place) => place === null)
    ? { items: taken.items }
    : { items: taken.items, next: writeToken(next) };
}

async function read<Entry>(
  source: Source<Entry>,
  place: Place,
  limit: number,
): Promise<List<Entry>> {
  return place === null ? { items: [] } : await source({ limit, after: place });
}

function firstOf<Entry>(
  first: readonly Entry[],
  second: readonly Entry[],
  by: { readonly isBefore: (one: Entry, other: Entry) => boolean; readonly limit: number },
): { readonly items: readonly Entry[]; readonly counts: readonly [number, number] } {
  const items: Entry[] = [];
  let [one, two] = [0, 0];
  while (items.length < by.limit) {
    const [a, b] = [first[one], second[two]];
    if (a !== undefined && (b === undefined || by.isBefore(a, b))) {
      items.push(a);
      one += 1;
    } else if (b !== undefined) {
      items.push(b);
      two += 1;
    } else break;
  }
  return { items, counts: [one, two] };
}

function writeToken(places: readonly Place[]): string {
  const plain = places.map((place) => (place === undefined ? "" : place));
  return Buffer.from(JSON.stringify(plain)).toString("base64url");
}

function readToken(token: string | undefined): readonly Place[] {
  if (token === undefined) return [undefined, undefined];
  try {
    const places: unknown = JSON.parse(Buffer.from(token, "base64url").toString());
    if (Array.isArray(places) && places.length === 2 && places.every(isPlace)) {
      return places.map((place) => (place === "" ? undefined : place));
    }
  } catch {
    // Refused below, like any other text that is no token.
  }
  throw new Fault("INVALID_REQUEST", "after: expected the next token of the page before", {
    field: "after",
    expected: "the next token of the page before",
  });
}

function isPlace(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}
