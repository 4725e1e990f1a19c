import type { Inventory } from "./providers/provider.ts";

/** Inventory records by resource class. */
export interface Inventories {
  readonly [resourceClass: string]: Inventory;
}

/** What Placement keeps of a provider besides its place in the tree, as of one generation. */
export interface ProviderDetails {
  readonly generation: number;
  readonly inventories: Inventories;
  readonly traits: readonly string[];
}

/** What we put on a provider; everything else there belongs to somebody else. */
export interface Ours {
  readonly classes: readonly string[];
  readonly traits: readonly string[];
}

/** One provider of ours as we remember it. */
export interface RememberedProvider {
  readonly name: string;
  /** At a later generation somebody changed it; absent: we never saw what it holds. */
  readonly seen?: ProviderDetails | undefined;
  readonly ours: Ours;
}

/** Our providers of one host by uuid. */
export interface RememberedTree {
  readonly [uuid: string]: RememberedProvider;
}
