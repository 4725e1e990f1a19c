import type { HypervisorName } from "./hypervisors.ts";
import type { HandleState } from "./lifecycle.ts";

/** Where a handle should be plugged; what each plugin needs beside its name. */
export interface PlugTarget {
  readonly hypervisor: HypervisorName;
  readonly domain?: string | undefined;
  readonly bus?: string | undefined;
}

/** What a plugin returned for a plugged handle. */
export interface Attachment {
  readonly hypervisor: string;
  readonly pciAddress?: string | undefined;
  readonly xml?: string | undefined;
  readonly cdi?: string | undefined;
  readonly device?: string | undefined;
  readonly bus?: string | undefined;
  readonly handleInfo?: HandleInfo | undefined;
}

/** A PCI address as Nova wants it: hex without 0x (host.md §4.1). */
export interface HandleInfo {
  readonly domain: string;
  readonly bus: string;
  readonly device: string;
  readonly function: string;
}

/** Who holds a handle. `binding` until the agent has proven the claim's wish. */
export interface Holder {
  readonly claim: string;
  readonly project: string;
  readonly instance?: string | undefined;
  readonly binding: boolean;
  /** Its allocation in Placement is not made yet: nothing of this deployable reaches the agent. */
  readonly allocating?: boolean | undefined;
}

/** One attach point. `fence` only grows; `plugged` and `target` are the wish, `state` is what is. */
export interface Handle {
  readonly type: "PF" | "VF" | "MDEV";
  readonly address: string;
  readonly iommuGroup?: number | undefined;
  readonly attachable: boolean;
  readonly reason?: string | undefined;
  readonly fence: number;
  readonly state: HandleState;
  readonly holder?: Holder | undefined;
  readonly plugged: boolean;
  readonly target?: PlugTarget | undefined;
  readonly attachment?: Attachment | undefined;
  readonly error?: Trouble | undefined;
}

/** A fault in reported form: a code of faults.ts and a sentence. */
export interface Trouble {
  readonly code: string;
  readonly message: string;
}

export interface Health {
  readonly state: "ok" | "unmonitored" | "degraded" | "stuck" | "gone";
  readonly reason?: string | undefined;
}

/** What the card says is loaded; functionId null = blank. Image facts only when we loaded it. */
export interface Loaded {
  readonly functionId: string | null;
  readonly imageId?: string | undefined;
  readonly sha256?: string | undefined;
}

/** The image a generation wants loaded. `keep`: may stay loaded for the next tenant (not private). */
export interface WantedImage {
  readonly id: string;
  readonly sha256: string;
  readonly functionId: string;
  readonly type: string;
  readonly keep: boolean;
}

/** What one image generation asks for: first the scrub, then the image (design §2, §4). */
export interface Wish {
  readonly scrub?: ScrubMethod | undefined;
  readonly image?: WantedImage | undefined;
  readonly force?: boolean | undefined;
  readonly replug?: boolean | undefined;
}

export type ScrubMethod = "erase" | "reset";
export type Sharing = "none" | "project" | "any";

/** How the newest generation ended, if it did. */
export interface Outcome {
  readonly generation: number;
  readonly result: "ready" | "failed";
  readonly error?: Trouble | undefined;
}

/** One attribute that was given to a deployable over Cyborg's API; times in ms. */
export interface CustomTrait {
  readonly id: string;
  readonly key: string;
  readonly value: string;
  readonly createdAt: number;
}

/** What is programmed as one (design §2). Facts only: its state is derived by {@link stateOf}. */
export interface Deployable {
  readonly id: string;
  readonly host: string;
  readonly hostName: string;
  readonly device: string;
  readonly cardId: string;
  readonly region: string;
  readonly kind: "FPGA" | "GPU" | "NIC" | "QAT" | "SSD";
  readonly vendor: string;
  readonly product: string;
  readonly driver: string;
  readonly layout: "whole" | "regions" | "pf" | "vfs";
  readonly address: string;
  readonly numaNode?: number | undefined;
  readonly resourceClass: string;
  /** Traits of the hardware itself; what is loaded adds more (traits.ts). */
  readonly traits: readonly string[];
  readonly interfaceId?: string | undefined;
  readonly programmable: boolean;
  readonly scrubMethod?: ScrubMethod | undefined;
  readonly sharing: Sharing;
  readonly present: boolean;
  readonly hostOnline: boolean;
  readonly enabled: boolean;
  readonly health: Health;
  readonly loaded: Loaded;
  /** Type of the loaded image (`crypto`), when we know it. */
  readonly loadedType?: string | undefined;
  readonly clean: boolean;
  readonly bootId?: string | undefined;
  readonly revision: number;
  readonly imageGeneration: number;
  readonly wish: Wish;
  readonly outcome: Outcome;
  readonly phase: string;
  readonly reported: { readonly epoch: number; readonly seq: number };
  readonly handles: { readonly [name: string]: Handle };
  /** The operation that holds its card: nothing of the card is offered until it is over. */
  readonly cardOperation?: string | undefined;
  /** The project whose tenant used it last. */
  readonly lastProject?: string | undefined;
  /** What an operator said of it (Cyborg's attributes): a key `trait…` with a trait's name shows. */
  readonly customTraits?: readonly CustomTrait[] | undefined;
  /** When it was first found; absent on rows from before this was kept. */
  readonly createdAt?: number | undefined;
  readonly updatedAt: number;
}

export type DeployableState =
  | "offline"
  | "idle"
  | "programming"
  | "ready"
  | "scrubbing"
  | "faulty"
  | "disabled";

/** True while the agent still owes the result of the newest generation. */
export function isPending(deployable: Deployable): boolean {
  return deployable.outcome.generation < deployable.imageGeneration;
}

/** What an inventory says of a handle that it does not have any more. */
export const lostReason = "not found on the host";

/** True for a handle that went away, with another layout or another boot; its fence stays. */
export function isLost({ attachable, reason }: Handle): boolean {
  return !attachable && reason === lostReason;
}

/** Handles that a claim holds now. */
export function heldHandles(deployable: Deployable): readonly (readonly [string, Handle])[] {
  return Object.entries(deployable.handles).filter(([, handle]) => handle.holder !== undefined);
}

/** True while a claim on it may still be refused by Placement: its wish is for nobody's eyes yet. */
export function isAllocating(deployable: Deployable): boolean {
  return Object.values(deployable.handles).some(({ holder }) => holder?.allocating === true);
}

/** Handles a new claim could take. */
export function freeHandles(deployable: Deployable): readonly string[] {
  return Object.entries(deployable.handles)
    .filter(([, handle]) => handle.state === "free" && handle.attachable)
    .map(([name]) => name);
}

/**
 * Handles that are free, or become free by themselves: the card is well and offered, and all that may
 * be missing is its cleaning or preparation, which is under way.
 */
export function comingHandles(deployable: Deployable): readonly string[] {
  const { hostOnline, enabled, cardOperation, scrubMethod, outcome, sharing } = deployable;
  const isFailed = !isPending(deployable) && outcome.result === "failed";
  const isOffered = hostOnline && enabled && cardOperation === undefined;
  if (!isOffered || scrubMethod === undefined || isFailed || !isWorking(deployable)) return [];
  if (sharing === "none" && heldHandles(deployable).length > 0) return [];
  return Object.entries(deployable.handles)
    .filter(
      ([, { state, attachable }]) => attachable && (state === "free" || state === "releasing"),
    )
    .map(([name]) => name);
}

const working: ReadonlySet<Health["state"]> = new Set(["ok", "unmonitored"]);

/** True while the card is there and does not complain. */
export function isWorking({ present, health }: Deployable): boolean {
  return present && working.has(health.state);
}

/** The lifecycle state and, for `faulty`, the reason (design §5): worst fact first. */
export function stateOf(deployable: Deployable): {
  readonly state: DeployableState;
  readonly reason?: string;
} {
  const { health, outcome } = deployable;
  if (!deployable.present) return { state: "faulty", reason: "gone" };
  if (!deployable.hostOnline) return { state: "offline" };
  if (!working.has(health.state)) return { state: "faulty", reason: health.state };
  if (isPending(deployable)) return { state: pendingState(deployable) };
  if (outcome.result === "failed") {
    return { state: "faulty", reason: outcome.error?.code ?? "PROGRAM_FAILED" };
  }
  if (deployable.cardOperation !== undefined) return { state: "disabled", reason: withheld };
  return { state: deployable.enabled ? settledState(deployable) : "disabled" };
}

const withheld = "an operation holds its card";

function pendingState(deployable: Deployable): DeployableState {
  return deployable.wish.scrub === undefined ? "programming" : "scrubbing";
}

function settledState(deployable: Deployable): DeployableState {
  if (heldHandles(deployable).length > 0) return "ready";
  return freeHandles(deployable).length > 0 && isClean(deployable) ? "idle" : "scrubbing";
}

/** An unheld card that is scrubbed as a whole must be clean; others are cleaned handle by handle. */
export function isClean(deployable: Deployable): boolean {
  return (
    deployable.scrubMethod === "reset" || deployable.clean || heldHandles(deployable).length > 0
  );
}

/** Why a deployable is not on offer to anyone now; empty = it is in the free pool (I4). */
export function notOfferable(deployable: Deployable): readonly string[] {
  const reasons: string[] = [];
  const { state, reason } = stateOf(deployable);
  if (state === "offline") reasons.push("its host is silent");
  if (state === "faulty") reasons.push(`it is faulty: ${reason ?? "unknown"}`);
  if (!deployable.enabled) reasons.push("an operator disabled it");
  if (deployable.cardOperation !== undefined) reasons.push(withheld);
  if (deployable.scrubMethod === undefined) reasons.push("no scrub method is known for it");
  if (isPending(deployable)) reasons.push(`it is ${state}`);
  else if (!isClean(deployable)) reasons.push("it is not proven clean");
  if (freeHandles(deployable).length === 0) reasons.push("no handle is free");
  if (deployable.sharing === "none" && heldHandles(deployable).length > 0) {
    reasons.push("it is claimed and not shared");
  }
  return reasons;
}

/** True when new claims may be granted on it. */
export function isOfferable(deployable: Deployable): boolean {
  return notOfferable(deployable).length === 0;
}
