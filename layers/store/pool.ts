import type { Deployable } from "#domain/deployable";
import type { Requirement } from "#domain/matching";
import { poolPk, poolShards, poolSk } from "#store/keys";
import { valueOf } from "#store/rows";
import type { Store } from "#store/store";
import type { Page, Query } from "#store/table";

/**
 * Rows read from one shard in one look: for one handle, for one of any image in a large pool (what
 * is read is a third of a claim's processor time, and there is more where these came from), and for
 * several of one host.
 */
const perShard = { one: 6, anyOfMany: 4, several: 32 };

/**
 * Pools seen to be larger than one look, by partition: the `region#image#` a row seen in them has,
 * so that they can be entered near it at a random id.
 */
export type LargePools = Map<string, string>;

/** What a look into the pool goes by; `several` handles of one host need to see more of it. */
export type PoolNeed = Pick<Requirement, "resourceClasses" | "image"> & {
  readonly several?: boolean;
  /** There is an image that is not known yet. */
  readonly ahead?: boolean;
};

/** True when one look may not have seen everything on offer in the wanted classes. */
export function isLarge({ resourceClasses }: PoolNeed, large: LargePools): boolean {
  return resourceClasses.some((resourceClass) =>
    shardsOf(resourceClass).some((pk) => large.has(pk)),
  );
}

interface Look {
  readonly pk: string;
  readonly sk: Range;
  readonly reverse: boolean;
}

type Range = { readonly beginsWith: string } | { readonly from: string; readonly to: string };

/**
 * Free deployables of the wanted classes in one round trip, those with exactly the wanted image from
 * looks of their own. A class whose shards are all small is read in all of them; of a large one, one
 * random shard is entered at a random point, so that racing callers spread. Several handles of one
 * host are looked for from the start of every shard. What this does not find may still be there:
 * only {@link walkPool} says "none".
 */
export async function lookIntoPool(
  store: Store,
  need: PoolNeed,
  large: LargePools,
): Promise<readonly Deployable[]> {
  const looks = need.resourceClasses.flatMap((resourceClass) => {
    const shards = shardsOf(resourceClass);
    const exact = need.image === undefined ? [] : shards.map((pk) => exactImage(pk, need));
    const isWide = need.several === true;
    const some = isWide ? shards : entered(store, shards, large);
    return [...exact, ...some.map((pk) => anyImage(store, pk, need, isWide ? noneLarge : large))];
  });
  const pages = await Promise.all(
    looks.map((look) =>
      store.table.query({ index: "gsi1", ...look, limit: rowsOf(look, need, large) }),
    ),
  );
  if (need.several !== true) noteSize(looks, pages, large);
  return distinct(pages);
}

function rowsOf({ pk }: Look, need: PoolNeed, large: LargePools): number {
  if (need.several === true) return perShard.several;
  const isAny = need.image === undefined && need.ahead !== true;
  return isAny && large.has(pk) ? perShard.anyOfMany : perShard.one;
}

const noneLarge: ReadonlyMap<string, string> = new Map();

function shardsOf(resourceClass: string): readonly string[] {
  return Array.from({ length: poolShards }, (_, shard) => poolPk(resourceClass, shard));
}

function entered(store: Store, shards: readonly string[], large: LargePools): readonly string[] {
  if (!shards.every((pk) => large.has(pk))) return shards;
  const one = shards[Math.floor(store.random() * shards.length)];
  return one === undefined ? shards : [one];
}

function exactImage(pk: string, { image }: PoolNeed): Look {
  return { pk, sk: { beginsWith: poolSk(image?.interfaceId, image?.id, "") }, reverse: false };
}

/**
 * From the start while the pool is small, else near a row seen before, at a random id: upwards from
 * the lower half of the ids and downwards from the upper half, so that there is always half a pool ahead.
 */
function anyImage(
  store: Store,
  pk: string,
  need: PoolNeed,
  large: ReadonlyMap<string, string>,
): Look {
  const region = need.image?.interfaceId;
  const end = region === undefined ? "~" : `${region}#~`;
  const known = large.get(pk);
  if (known === undefined) {
    const from = region === undefined ? " " : `${region}#`;
    return { pk, sk: { from, to: end }, reverse: false };
  }
  const near = region === undefined || known.startsWith(`${region}#`) ? known : `${region}#-#`;
  const start = `${near}${randomHex(store)}`;
  return start < `${near}8`
    ? { pk, sk: { from: start, to: end }, reverse: false }
    : { pk, sk: { from: near, to: start }, reverse: true };
}

function randomHex(store: Store): string {
  return Math.floor(store.random() * 0x1_0000_0000)
    .toString(16)
    .padStart(8, "0");
}

/** A look that ends in more rows means large; one into an exact image tells nothing of the rest. */
function noteSize(looks: readonly Look[], pages: readonly Page[], large: LargePools): void {
  for (const [index, { pk, sk }] of looks.entries()) {
    if ("beginsWith" in sk) continue;
    const page = pages[index];
    const sample = page?.items[0]?.["gsi1sk"];
    if (typeof sample !== "string") large.delete(pk);
    else if (page?.next !== undefined) {
      large.set(pk, sample.slice(0, sample.lastIndexOf("#") + 1));
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
