import { type DueList, dueShards, dueUntil } from "#store/keys";
import type { Store } from "#store/store";
import type { Item } from "#store/table";

/** Rows of one page of the work list. */
const pageSize = 100;

/**
 * Every row with an obligation that is due, shard by shard, oldest first: the sweep's, or those of
 * another list. The index may lag, so the one who acts on a row reads it again and finds out whether
 * it is still owed.
 */
export async function* dueRows(store: Store, list: DueList = "DUE"): AsyncGenerator<Item> {
  yield* listed(store, list, { to: dueUntil(store.now()) });
}

/** Every row of a work list, also those whose time has not come; the index may lag. */
export async function* owedRows(store: Store, list: DueList): AsyncGenerator<Item> {
  yield* listed(store, list, undefined);
}

async function* listed(
  store: Store,
  list: DueList,
  until: { readonly to: string } | undefined,
): AsyncGenerator<Item> {
  for (let shard = 0; shard < dueShards; shard += 1) {
    let after: string | undefined;
    do {
      const page = await store.table.query({
        index: "gsi3",
        pk: `${list}#${shard}`,
        ...(until === undefined ? {} : { sk: until }),
        limit: pageSize,
        ...(after === undefined ? {} : { after }),
      });
      yield* page.items;
      after = page.next;
    } while (after !== undefined);
  }
}
