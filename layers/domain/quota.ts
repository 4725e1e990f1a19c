/** How many claims of one resource class a project may hold: I3, left = limit − held. */
export interface Quota {
  readonly project: string;
  readonly resourceClass: string;
  readonly limit: number;
  readonly left: number;
}

/** Claims held now. */
export function used(quota: Quota): number {
  return quota.limit - quota.left;
}

/** The quota under a new limit: what is held stays held, so `left` may be negative until releases. */
export function withLimit(quota: Quota, limit: number): Quota {
  return { ...quota, limit, left: limit - used(quota) };
}
