import { Fault } from "#domain/faults";
import type { Store } from "#store/store";
import type { Item } from "#store/table";

/** A page of a list that callers see: `next` is an opaque token. */
export interface List<Entry> {
  readonly items: readonly Entry[];
  readonly next?: string | undefined;
}

/** Which page is wanted; 50 entries when nothing is said. */
export interface Wanted {
  readonly limit?: number | undefined;
  readonly after?: string | undefined;
}

const defaultLimit = 50;

/** Most index pages read for one answer, so that a filter that matches little cannot run for ever. */
const mostPages = 20;

interface Position {
  readonly shard: number;
  readonly after?: string | undefined;
}

/**
 * One page over a list that is spread over shards `<prefix>0 … <prefix>n-1`, or over one partition
 * when `shards` is absent. Entries that `keep` refuses are passed over and do not count.
 */
export async function listShardsOf<Entry>(
  store: Store,
  list: {
    readonly index: "gsi1" | "gsi2";
    readonly prefix: string;
    readonly shards?: number;
    readonly reverse?: boolean;
    readonly entry: (item: Item) => Entry | undefined;
  },
  wanted: Wanted,
): Promise<List<Entry>> {
  const limit = wanted.limit ?? defaultLimit;
  const shards = list.shards ?? 1;
  let at: Position | undefined = readToken(wanted.after, shards);
  const items: Entry[] = [];
  for (let pages = 0; at !== undefined && items.length < limit && pages < mostPages; pages += 1) {
    const page = await store.table.query({
      index: list.index,
      pk: list.shards === undefined ? list.prefix : `${list.prefix}${at.shard}`,
      limit: limit - items.length,
      ...(list.reverse === undefined ? {} : { reverse: list.reverse }),
      ...(at.after === undefined ? {} : { after: at.after }),
    });
    for (const item of page.items) {
      const entry = list.entry(item);
      if (entry !== undefined) items.push(entry);
    }
    at = nextPosition(at, page.next, shards);
  }
  return at === undefined ? { items } : { items, next: writeToken(at) };
}

function nextPosition(
  at: Position,
  next: string | undefined,
  shards: number,
): Position | undefined {
  if (next !== undefined) return { shard: at.shard, after: next };
  return at.shard + 1 < shards ? { shard: at.shard + 1 } : undefined;
}

function writeToken({ shard, after }: Position): string {
  return Buffer.from(JSON.stringify([shard, after ?? null])).toString("base64url");
}

function readToken(token: string | undefined, shards: number): Position {
  if (token === undefined) return { shard: 0 };
  try {
    const parsed: unknown = JSON.parse(Buffer.from(token, "base64url").toString());
    if (Array.isArray(parsed)) {
      const [shard, after]: unknown[] = parsed;
      const known = typeof shard === "number" && Number.isInteger(shard) && shard >= 0;
      if (known && shard < shards && (after === null || typeof after === "string")) {
        return after === null ? { shard } : { shard, after };
      }
    }
  } catch {
    // Not a token of ours: refused below, like any other text.
  }
  throw new Fault("INVALID_REQUEST", "after: expected the next token of the page before", {
    field: "after",
    expected: "the next token of the page before",
  });
}
