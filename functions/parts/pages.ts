import type { List, Wanted } from "#store/lists";

/** Entries of one page when a whole list is read. */
const pageSize = 200;

/** A whole list, page by page: for sums over the fleet, not for callers' lists. */
export async function allOf<Entry>(
  list: (wanted: Wanted) => Promise<List<Entry>>,
): Promise<readonly Entry[]> {
  const found: Entry[] = [];
  let after: string | undefined;
  do {
    const page = await list({ limit: pageSize, after });
    found.push(...page.items);
    after = page.next;
  } while (after !== undefined);
  return found;
}
