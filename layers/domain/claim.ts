import type { Trouble } from "./deployable.ts";
import type { ClaimState } from "./lifecycle.ts";

/** One exclusive use of one handle (design §2). Times are ms since the epoch. */
export interface Claim {
  readonly id: string;
  readonly project: string;
  readonly user: string;
  readonly state: ClaimState;
  readonly reason?: Trouble | undefined;
  readonly resourceClass: string;
  readonly instance?: string | undefined;
  readonly host?: string | undefined;
  readonly deployable?: string | undefined;
  readonly handle?: string | undefined;
  readonly fence?: number | undefined;
  readonly pciAddress?: string | undefined;
  readonly image?: string | undefined;
  readonly profile?: string | undefined;
  readonly group?: number | undefined;
  /** BindStarted ends here. */
  readonly deadline?: number | undefined;
  /** A native claim's renewable lease; its end asks for release. */
  readonly leaseUntil?: number | undefined;
  readonly leaseSeconds?: number | undefined;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Most handles one request may take: 32 of each row kind fit one transaction of 100 (design §4). */
export const maxCount = 32;
/** Default time from bind to its answer: Nova gives up at 300 s (design §5). */
export const bindDeadlineMs = 180_000;
/** A host that was not heard for this long is silent: 4 pings of 30 s (design §5). */
export const silentAfterMs = 120_000;
