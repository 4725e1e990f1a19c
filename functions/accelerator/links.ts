/** A link as OpenStack writes it. */
export interface Link {
  readonly href: string;
  readonly rel: "self" | "bookmark";
}

/** Where a resource is, such as `…/v2/devices/<uuid>`. */
export function selfLink(base: string, collection: string, id: string): Link {
  return { href: `${base}/v2/${collection}/${id}`, rel: "self" };
}

/** The link without a version that deployables have beside their own; it is there on one mount only. */
export function bookmarkLink(base: string, collection: string, id: string): Link {
  const root = base.endsWith("/accelerator") ? base : `${base}/accelerator`;
  return { href: `${root}/${collection}/${id}`, rel: "bookmark" };
}

/** Milliseconds since the epoch as OpenStack writes times: `2026-11-21T01:37:10.444000+00:00`. */
export function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace(/Z$/, "000+00:00");
}

/** The time of the last change; null for what never changed, as Cyborg has it. */
export function changeOf(createdAt: number, updatedAt: number): string | null {
  return updatedAt === createdAt ? null : timeOf(updatedAt);
}
