import { refusal } from "./errors.ts";
import { type FilterField, filtersOf } from "./query.ts";
import { asUuid } from "./uuids.ts";

/** Arguments of a list of hardware beside its own. */
export const listingArguments = ["filters", "limit", "marker", "sort_key", "sort_dir"] as const;

/** Which entries of a list are wanted, and in which order. */
export interface Listing {
  /** Every field that is filtered by, with its value. */
  readonly filters: ReadonlyMap<FilterField, string>;
  /** Most entries; absent = all. */
  readonly limit: number | undefined;
  /** Uuid of the last entry of the page before. */
  readonly marker: string | undefined;
  /** Member of the view to sort by; absent = the order of the table. */
  readonly sortKey: string | undefined;
  readonly isDescending: boolean;
}

/** Reads filters, paging and order; an argument counts before a filter of its name. 400. */
export function listingOf(query: URLSearchParams): Listing {
  const filters = filtersOf(query);
  const said = (name: FilterField) => query.get(name) ?? filters.get(name);
  const marker = said("marker");
  const direction = said("sort_dir") ?? "asc";
  if (direction !== "asc" && direction !== "desc") {
    throw invalid("sort_dir", direction, "asc, desc");
  }
  return {
    filters,
    limit: limitOf(said("limit")),
    marker: marker === undefined ? undefined : markerOf(marker),
    sortKey: said("sort_key") ?? (direction === "desc" ? "uuid" : undefined),
    isDescending: direction === "desc",
  };
}

function invalid(field: string, value: string, wanted: string): Error {
  return refusal(
    400,
    `Invalid input for field/attribute ${field}. Value: '${value}'. Value should be one of: ${wanted}`,
  );
}

function limitOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,5}$/.test(text)) throw invalid("limit", text, "1 to 999999");
  return Number(text);
}

function markerOf(text: string): string {
  const marker = asUuid(text);
  if (marker === undefined) throw invalid("marker", text, "the uuid of an entry");
  return marker;
}

type View = Readonly<Record<string, unknown>> & { readonly uuid: string };

/**
 * The wanted page of views. `source` yields them from a marker on in the table's order; those of a
 * sorted list are all read first. 400 for a sort key that they do not have.
 */
export async function pageOf<Shown extends View>(
  source: (marker: string | undefined) => AsyncIterable<readonly Shown[]>,
  { limit, marker, sortKey, isDescending }: Listing,
): Promise<readonly Shown[]> {
  const isSorted = sortKey !== undefined;
  const most = isSorted ? undefined : limit;
  const found: Shown[] = [];
  for await (const views of source(isSorted ? undefined : marker)) {
    found.push(...views);
    if (most !== undefined && found.length >= most) break;
  }
  if (!isSorted) return found.slice(0, limit);
  const sorted = sortedBy(found, sortKey, isDescending);
  const from = marker === undefined ? 0 : sorted.findIndex(({ uuid }) => uuid === marker) + 1;
  return sorted.slice(from, limit === undefined ? undefined : from + limit);
}

function sortedBy<Shown extends View>(
  views: readonly Shown[],
  key: string,
  isDescending: boolean,
): readonly Shown[] {
  const [first] = views;
  if (first !== undefined && !Object.hasOwn(first, key)) {
    throw invalid("sort_key", key, Object.keys(first).join(", "));
  }
  const order = isDescending ? -1 : 1;
  return views.toSorted((one, other) => order * compare(one, other, key));
}

/** Equal values stand by uuid, so that a marker always means one place. */
function compare(one: View, other: View, key: string): number {
  const [left, right] = [one[key], other[key]];
  if (typeof left === "number" && typeof right === "number" && left !== right) return left - right;
  return alphabetical(String(left), String(right)) || alphabetical(one.uuid, other.uuid);
}

function alphabetical(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
