import type { Deployable } from "#domain/deployable";
import type { Requirement } from "#domain/matching";
import { poolPk, poolShards, poolSk } from "#store/keys";
import { valueOf } from "#store/rows";
import type { Store } from "#store/store";
import type { Page, Query } from "#store/table";

/** Rows read from one shard in one look. */
const perShard = 6;

/** Pools seen to be larger than one look, with a region seen in them: a point to enter them near. */
export type LargePools = Map<string, string>;

/**
 * Free deployables of the wanted classes, one look into every shard in parallel: those with exactly
 * the wanted image first come from their own look. A pool that fits one look is read from its start,
 * so "none" is only said after all shards; a large one is entered at a random point.
 */
export async function lookIntoPool(
  store: Store,
  need: Requirement,
  large: LargePools,
): Promise<readonly Deployable[]> {
  const looks = need.resourceClasses.flatMap((resourceClass) =>
    Array.from({ length: poolShards }, (_, shard) => poolPk(resourceClass, shard)).flatMap((pk) => {
      const ranges = [anyImage(store, need, large.get(pk))];
      if (need.image !== undefined) ranges.unshift(exactImage(need));
      return ranges.map((sk) => ({ pk, sk }));
    }),
  );
  const pages = await Promise.all(
    looks.map(({ pk, sk }) => store.table.query({ index: "gsi1", pk, sk, limit: perShard })),
  );
  noteSize(looks, pages, large);
  return distinct(pages);
}

type Range = { readonly beginsWith: string } | { readonly from: string; readonly to: string };

function exactImage(need: Requirement): Range {
  const id = need.image?.id;
  return { beginsWith: poolSk(need.image?.interfaceId, id, "") };
}

/** From the start while the pool is small, else from a random point of a region, against contention. */
function anyImage(store: Store, need: Requirement, known: string | undefined): Range {
  const wanted = need.image?.interfaceId;
  const region = wanted ?? known;
  if (known === undefined || region === undefined) {
    return wanted === undefined
      ? { from: " ", to: "~" }
      : { from: `${wanted}#`, to: `${wanted}#~` };
  }
  const start = randomStart(store);
  return { from: `${region}#${start}`, to: wanted === undefined ? "~" : `${region}#~` };
}

/** Among the blank cards (`-`) or among those with an image loaded. */
function randomStart(store: Store): string {
  const hex = Math.floor(store.random() * 0x1_0000_0000)
    .toString(16)
    .padStart(8, "0");
  return store.random() < 0.5 ? `-#${hex}` : hex;
}

function noteSize(
  looks: readonly { readonly pk: string; readonly sk: Range }[],
  pages: readonly Page[],
  large: LargePools,
): void {
  for (const [index, { pk }] of looks.entries()) {
    const page = pages[index];
    const [sample] = page?.items ?? [];
    if (sample === undefined) large.delete(pk);
    else if (page?.next !== undefined) {
      large.set(pk, valueOf<Deployable>(sample).interfaceId ?? "-");
    }
  }
}

function distinct(pages: readonly Page[]): readonly Deployable[] {
  const found = pages.flatMap((page) => page.items.map((item) => valueOf<Deployable>(item)));
  return [...new Map(found.map((one) => [one.id, one])).values()];
}

/** Rows of one page of a walk, and the fitting candidates that are enough for one handle. */
const walkPage = 100;
const enough = 32;

/**
 * The whole pool, page by page in all shards: what says "none" for good, and what finds rare traits.
 * Stops early once `enough` deployables fit, unless `all` are wanted (several handles of one host).
 */
export async function walkPool(
  store: Store,
  need: Requirement,
  want: { readonly fits: (deployable: Deployable) => boolean; readonly all: boolean },
): Promise<readonly Deployable[]> {
  const region = need.image?.interfaceId;
  const sk = region === undefined ? undefined : { beginsWith: `${region}#` };
  const shards = need.resourceClasses.flatMap((resourceClass) =>
    Array.from({ length: poolShards }, (_, shard) => poolPk(resourceClass, shard)),
  );
  const found: Deployable[] = [];
  const walk = async (pk: string): Promise<void> => {
    let after: string | undefined;
    do {
      const page: Page = await store.table.query(pageOf(pk, sk, after));
      found.push(...page.items.map((item) => valueOf<Deployable>(item)).filter(want.fits));
      after = want.all || found.length < enough ? page.next : undefined;
    } while (after !== undefined);
  };
  await Promise.all(shards.map(walk));
  return found;
}

function pageOf(
  pk: string,
  sk: { readonly beginsWith: string } | undefined,
  after: string | undefined,
): Query {
  return {
    index: "gsi1",
    pk,
    limit: walkPage,
    ...(sk === undefined ? {} : { sk }),
    ...(after === undefined ? {} : { after }),
  };
}
