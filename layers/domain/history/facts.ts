import type { Claim } from "../claim.ts";
import { type Deployable, type Handle, heldHandles, isPending, stateOf } from "../deployable.ts";
import type { ClaimState, HandleState } from "../lifecycle.ts";

/**
 * What an event says beside its sentence, so that a program can judge a history (design §4). `was…` is
 * how the row stood before the change; it is absent where there was none.
 */
export type Facts = ClaimFacts | DeployableFacts | QuotaFacts;

/** A change of a claim's row. `is` is absent when the row is gone. `changedAt` in ms by its writer's clock. */
export interface ClaimFacts {
  readonly about: "claim";
  readonly was?: ClaimState | undefined;
  readonly is?: ClaimState | undefined;
  readonly resourceClass: string;
  readonly handle?: string | undefined;
  readonly fence?: number | undefined;
  readonly wasHandle?: string | undefined;
  readonly wasFence?: number | undefined;
  readonly wasProject?: string | undefined;
  readonly changedAt?: number | undefined;
}

/** Who has a handle, under which fence. */
export interface HandleFacts {
  readonly state: HandleState;
  readonly fence: number;
  readonly claim?: string | undefined;
  readonly project?: string | undefined;
}

/** A change of a deployable's row, with those of its handles that this event tells of. */
export interface DeployableFacts {
  readonly about: "deployable";
  readonly revision: number;
  readonly imageGeneration: number;
  readonly wasImageGeneration?: number | undefined;
  readonly state: string;
  readonly wasState?: string | undefined;
  readonly clean: boolean;
  readonly wasClean?: boolean | undefined;
  /** How many handles claims held before. */
  readonly wasHeld?: number | undefined;
  readonly held: number;
  /** The function the card says is loaded; null = blank. */
  readonly loaded: string | null;
  readonly scrubMethod?: string | undefined;
  readonly device: string;
  readonly layout: string;
  /** A newer report of its agent came with this change: nothing else proves anything. */
  readonly reported: boolean;
  /** The newest image generation has ended well. */
  readonly settled: boolean;
  readonly handles: {
    readonly [name: string]: HandleFacts & { readonly was?: HandleFacts | undefined };
  };
}

/** A change of how much a project may hold of a class. */
export interface QuotaFacts {
  readonly about: "quota";
  readonly project: string;
  readonly resourceClass: string;
  readonly limit: number;
  readonly wasLimit?: number | undefined;
}

/** The facts of a change of a claim; undefined when there is no claim on either side. */
export function claimFacts(
  before: Claim | undefined,
  after: Claim | undefined,
): ClaimFacts | undefined {
  const claim = after ?? before;
  if (claim === undefined) return undefined;
  return {
    about: "claim",
    was: before?.state,
    is: after?.state,
    resourceClass: claim.resourceClass,
    handle: after?.handle,
    fence: after?.fence,
    wasHandle: before?.handle,
    wasFence: before?.fence,
    wasProject: before?.project,
    changedAt: after?.updatedAt,
  };
}

/** The facts of a change of a deployable, with those handles that are named. */
export function deployableFacts(
  before: Deployable | undefined,
  after: Deployable,
  names: readonly string[],
): DeployableFacts {
  const handles = names.flatMap((name) => {
    const handle = after.handles[name];
    if (handle === undefined) return [];
    const was = before?.handles[name];
    return [[name, { ...handleFacts(handle), was: was && handleFacts(was) }] as const];
  });
  return {
    about: "deployable",
    revision: after.revision,
    imageGeneration: after.imageGeneration,
    state: stateOf(after).state,
    clean: after.clean,
    held: heldHandles(after).length,
    ...(before === undefined ? {} : standing(before)),
    loaded: after.loaded.functionId,
    scrubMethod: after.scrubMethod,
    device: after.device,
    layout: after.layout,
    reported: before !== undefined && isNewer(after.reported, before.reported),
    settled: !isPending(after) && after.outcome.result === "ready",
    handles: Object.fromEntries(handles),
  };
}

function standing(before: Deployable) {
  return {
    wasImageGeneration: before.imageGeneration,
    wasState: stateOf(before).state,
    wasClean: before.clean,
    wasHeld: heldHandles(before).length,
  };
}

function handleFacts({ state, fence, holder }: Handle): HandleFacts {
  return { state, fence, claim: holder?.claim, project: holder?.project };
}

function isNewer(one: Deployable["reported"], other: Deployable["reported"]): boolean {
  return one.epoch > other.epoch || (one.epoch === other.epoch && one.seq > other.seq);
}

/** Handles of which the row says something else than before. */
export function changedHandles(before: Deployable | undefined, after: Deployable): string[] {
  return Object.entries(after.handles)
    .filter(([name, handle]) => {
      const was = before?.handles[name];
      return was === undefined || !isSame(handleFacts(was), handleFacts(handle));
    })
    .map(([name]) => name);
}

function isSame(one: HandleFacts, other: HandleFacts): boolean {
  const { state, fence, claim } = one;
  return state === other.state && fence === other.fence && claim === other.claim;
}
