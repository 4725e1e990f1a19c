import type { Trouble } from "./deployable.ts";
import { type ClaimState, claimLifecycle, next } from "./lifecycle.ts";

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
  /** What its profile's group asked for when it was created: accelerator requests only. */
  readonly asks?: Asks | undefined;
  /** Placement provider it is bound on by name: accelerator requests only. */
  readonly provider?: string | undefined;
  /** Node name it was asked to be bound on: accelerator requests only. */
  readonly hostName?: string | undefined;
  /** A native claim's allocation: nothing reaches the agent while it is pending. */
  readonly allocation?: "pending" | "done" | undefined;
  /** BindStarted ends here. */
  readonly deadline?: number | undefined;
  /** A native claim's renewable lease; its end asks for release. */
  readonly leaseUntil?: number | undefined;
  readonly leaseSeconds?: number | undefined;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** What an accelerator request asks of its handle beside the resource class. */
export interface Asks {
  readonly required: readonly string[];
  readonly forbidden: readonly string[];
  /** Image id, by `accel:bitstream_id`. */
  readonly image?: string | undefined;
  /** By `accel:function_id`. */
  readonly functionId?: string | undefined;
}

/** An accelerator request that nobody binds ends after an hour (design §5). */
export const unboundMs = 3_600_000;
/** Most handles one request may take: 32 of each row kind fit one transaction of 100 (design §4). */
export const maxCount = 32;
/** Default time from bind to its answer: Nova gives up at 300 s (design §5). */
export const bindDeadlineMs = 180_000;
/** A host that was not heard for this long is silent: 4 pings of 30 s (design §5). */
export const silentAfterMs = 120_000;
/** A bind that waits for a card is tried again after this long, should no change of one be heard. */
export const waitingLookMs = 30_000;

/** True while a claim is being bound and has no handle yet: it waits behind a scrub. */
export function isWaiting({ state, handle }: Claim): boolean {
  return state === "BindStarted" && handle === undefined;
}

/** True for a claim that a scheduler placed and whose instance waits to hear of it. */
export function isAwaited({ provider, instance }: Claim): boolean {
  return provider !== undefined && instance !== undefined;
}

/** Where an accelerator request is to be bound, and for whom. */
export interface BindOrder {
  readonly host: string;
  readonly hostName: string;
  readonly provider: string;
  readonly instance: string;
  /** The project it belongs to from now on; unchanged when absent. */
  readonly project?: string | undefined;
}

/** The claim as its bind begins; undefined where it cannot begin. */
export function startBind(
  claim: Claim,
  { host, hostName, provider, instance, project }: BindOrder,
  time: { readonly now: number; readonly deadlineMs: number },
): Claim | undefined {
  const state = next(claimLifecycle, claim.state, "bind");
  if (state === undefined) return undefined;
  return {
    ...claim,
    state,
    project: project ?? claim.project,
    host,
    hostName,
    provider,
    instance,
    reason: undefined,
    deadline: time.now + time.deadlineMs,
    updatedAt: time.now,
  };
}

/** The claim without anything it was bound to; undefined where it cannot be unbound. */
export function unbind(claim: Claim, now: number): Claim | undefined {
  const state = next(claimLifecycle, claim.state, "unbind");
  if (state === undefined) return undefined;
  return {
    id: claim.id,
    project: claim.project,
    user: claim.user,
    state,
    resourceClass: claim.resourceClass,
    profile: claim.profile,
    group: claim.group,
    asks: claim.asks,
    deadline: now + unboundMs,
    createdAt: claim.createdAt,
    updatedAt: now,
  };
}
