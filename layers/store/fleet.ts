import { listShards, shardOf } from "#store/keys";
import { valueOf } from "#store/rows";
import type { Store } from "#store/store";
import type { Page } from "#store/table";

/** Rows read at once. */
const pageSize = 200;

/**
 * Every card or deployable, page by page in order of shard and id, beginning after the one whose id
 * is `marker`; it need not be there any more. From an index: a new one may be missing for a moment.
 */
export async function* fleetAfter<Value extends { readonly id: string }>(
  store: Store,
  prefix: "DEVICES#" | "DEPLOYABLES#",
  marker?: string,
): AsyncGenerator<readonly Value[]> {
  const first = marker === undefined ? 0 : shardOf(marker, listShards);
  for (let shard = first; shard < listShards; shard += 1) {
    const from = shard === first ? marker : undefined;
    let after: string | undefined;
    do {
      const page: Page = await store.table.query({
        index: "gsi2",
        pk: `${prefix}${shard}`,
        limit: pageSize,
        ...(from === undefined ? {} : { sk: { from } }),
        ...(after === undefined ? {} : { after }),
      });
      yield page.items.map((item) => valueOf<Value>(item)).filter(({ id }) => id !== marker);
      after = page.next;
    } while (after !== undefined);
  }
}

/** Deployables whose ids begin with these eight digits: by an integer or an attribute's id. */
export async function deployablesFrom(
  store: Store,
  prefix: string,
): Promise<readonly { readonly host: string; readonly id: string }[]> {
  const page = await store.table.query({
    index: "gsi2",
    pk: `DEPLOYABLES#${shardOf(prefix, listShards)}`,
    sk: { beginsWith: prefix },
  });
  return page.items.map((item) => valueOf<{ readonly host: string; readonly id: string }>(item));
}
