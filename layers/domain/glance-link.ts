/** A digest as Glance keeps it: `os_hash_algo` and `os_hash_value`, lower-case hex. */
export interface GlanceHash {
  readonly algorithm: string;
  readonly value: string;
}

/** What is said about an image's header from outside; compared with it, never believed instead. */
export interface SaidIds {
  readonly format?: string | undefined;
  readonly interfaceId?: string | undefined;
  readonly functionId?: string | undefined;
}

/** An image that came from Glance: what is known of it there, and how far its copy is. Times are ms. */
export interface GlanceSource {
  /** Of what Glance said last: the same again changes nothing. */
  readonly digest: string;
  readonly said: SaidIds;
  readonly size?: number | undefined;
  readonly hash?: GlanceHash | undefined;
  /** Bytes that reached the bucket so far. */
  readonly copied: number;
  /** Who copies now; after `until` anybody may. */
  readonly lease?: { readonly holder: string; readonly until: number } | undefined;
  /** When the clock looks again while the image waits for its copy or its judgement. */
  readonly dueAt: number;
  /** Copies that failed, and why the last one did. */
  readonly tries: number;
  readonly problem?: string | undefined;
  /** Since when Glance does not know the image. */
  readonly missingSince?: number | undefined;
}

/** What Glance was told of an image of ours, last. */
export type Told = "active" | "deactivated" | "deleted";

/** An image of ours that is to be known in Glance too. Times are ms. */
export interface Registration {
  /** Absent: nothing yet. */
  readonly told?: Told | undefined;
  readonly dueAt: number;
  readonly tries: number;
  readonly problem?: string | undefined;
  /** Glance will never take it: it is not tried again. */
  readonly isRefused?: boolean | undefined;
}
