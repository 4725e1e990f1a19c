import { type DueList, dueShards, dueUntil, type ListName } from "#store/keys";
import type { Store } from "#store/store";
import type { Item, Key, Page, Query } from "#store/table";

/** Rows of one page of a work list: one query, and their reads by key side by side. */
const pageSize = 500;

/**
 * Every row with an obligation that is due, shard by shard, oldest first: the sweep's, or those of
 * another list. Rows are as they were when their page was read, so the one who acts on a row reads it
 * again and finds out whether it is still owed.
 */
export async function* dueRows(store: Store, list: DueList = "DUE"): AsyncGenerator<Item> {
  yield* listed(store, list, { to: dueUntil(store.now()) });
}

/** Every row of a work list, also those whose time has not come. */
export async function* owedRows(store: Store, list: ListName): AsyncGenerator<Item> {
  yield* listed(store, list, undefined);
}

async function* listed(
  store: Store,
  list: ListName,
  until: { readonly to: string } | undefined,
): AsyncGenerator<Item> {
  for (let shard = 0; shard < dueShards; shard += 1) {
    const query: Query = {
      index: "gsi3",
      pk: `${list}#${shard}`,
      ...(until === undefined ? {} : { sk: until }),
      limit: pageSize,
    };
    let after: string | undefined;
    do {
      const page: Page = await store.table.query({
        ...query,
        ...(after === undefined ? {} : { after }),
      });
      yield* await rowsOf(store, page.items);
      after = page.next;
    } while (after !== undefined);
  }
}

/**
 * The index has keys alone and may lag: of rows that are gone, or owed at another time by now, nothing
 * is due here.
 */
async function rowsOf(store: Store, entries: readonly Item[]): Promise<readonly Item[]> {
  const rows = await store.table.getMany(entries as readonly (Item & Key)[]);
  return rows.flatMap((row, index) => {
    const entry = entries[index];
    const isSame = row?.["gsi3pk"] === entry?.["gsi3pk"] && row?.["gsi3sk"] === entry?.["gsi3sk"];
    return row !== undefined && isSame ? [row] : [];
  });
}
