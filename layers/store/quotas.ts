import { Fault } from "#domain/faults";
import { type Quota, withLimit } from "#domain/quota";
import { absent, add, eq, exists, ge, set } from "#store/expression";
import { quotaKey } from "#store/keys";
import { type List, type Wanted } from "#store/lists";
import { rowOf, valueOf } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Write } from "#store/table";

/** What a project hears that asks for more than it has left. */
export function overQuota({ project, resourceClass, left, limit }: Quota, count: number): Fault {
  const message = `project ${project} has ${left} of ${limit} ${resourceClass} left, ${count} asked for`;
  return new Fault("OVER_QUOTA", message, {
    field: "count",
    expected: `at most ${Math.max(left, 0)}`,
    resourceClass,
  });
}

/** Takes `count` claims of a class from a project's quota, in the grant's own transaction (I3). */
export function takeQuota(project: string, resourceClass: string, count: number): Write {
  return {
    kind: "update",
    key: quotaKey(project, resourceClass),
    changes: [add("left", -count)],
    if: ge("left", count),
  };
}

/** Gives claims back, in the transaction that ends them. */
export function returnQuota(project: string, resourceClass: string, count: number): Write {
  return {
    kind: "update",
    key: quotaKey(project, resourceClass),
    changes: [add("left", count)],
    if: exists("left"),
  };
}

/** The row a project starts with in a class it never used. */
export async function openQuota(
  store: Store,
  quota: { readonly project: string; readonly resourceClass: string },
  limit: number,
): Promise<void> {
  const { project, resourceClass } = quota;
  await store.table.write([
    {
      kind: "put",
      item: quotaItem({ project, resourceClass, limit, left: limit }),
      if: absent("pk"),
    },
  ]);
}

function quotaItem({ project, resourceClass, limit, left }: Quota) {
  const key = quotaKey(project, resourceClass);
  return rowOf(key, "quota", { project, resourceClass }, { limit, left });
}

/** The quota a row holds. */
export function quotaOf(item: Item): Quota {
  return {
    ...valueOf<Pick<Quota, "project" | "resourceClass">>(item),
    limit: Number(item["limit"]),
    left: Number(item["left"]),
  };
}

/** A project's quotas by resource class. */
export async function listQuotas(
  store: Store,
  project: string,
  wanted: Wanted,
): Promise<List<Quota>> {
  const page = await store.table.query({
    pk: `QUOTA#${project}`,
    consistent: true,
    limit: wanted.limit ?? 50,
    ...(wanted.after === undefined ? {} : { after: wanted.after }),
  });
  return { items: page.items.map(quotaOf), next: page.next };
}

/**
 * Sets a limit; what is held stays held. `left` moves by the difference, so running grants neither
 * disturb this nor are disturbed. TRY_AGAIN after 6 races with others who set it.
 */
export async function setQuota(
  store: Store,
  wanted: { readonly project: string; readonly resourceClass: string; readonly limit: number },
): Promise<Quota> {
  const { project, resourceClass, limit } = wanted;
  const key = quotaKey(project, resourceClass);
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const item = await store.table.get(key, { consistent: true });
    const before = item && quotaOf(item);
    const after = withLimit(before ?? { project, resourceClass, limit: 0, left: 0 }, limit);
    const write: Write =
      before === undefined
        ? { kind: "put", item: quotaItem(after), if: absent("pk") }
        : {
            kind: "update",
            key,
            changes: [set("limit", limit), add("left", limit - before.limit)],
            if: eq("limit", before.limit),
          };
    const result = await store.table.write([write]);
    if (result.ok) return after;
    await store.sleep(store.random() * 10 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}
