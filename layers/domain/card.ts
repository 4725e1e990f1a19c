import { type Deployable, heldHandles, isLost, isPending, isWorking } from "./deployable.ts";
import { Fault } from "./faults.ts";
import type { Device } from "./host.ts";
import { type Lifecycle, next } from "./lifecycle.ts";
import { startOver } from "./transitions.ts";

/** What an operator may do to a whole card: make it another layout, bind it anew, look again. */
export const cardKinds = ["layout", "rebind", "rescan"] as const;
export type CardKind = (typeof cardKinds)[number];
export const layouts = ["whole", "regions", "pf", "vfs"] as const;

/** Kernels count virtual functions; more than this no card is offered with. */
export const mostVfs = 64;

/** A card operation as it is asked for. `vfs` counts the functions of `vfs`, or those of `regions`. */
export interface CardRequest {
  readonly kind: CardKind;
  readonly layout?: Device["layout"] | undefined;
  readonly vfs?: number | undefined;
}

export type CardOperationState = "pending" | "running" | "succeeded" | "failed";
type CardOperationEvent = "begin" | "succeed" | "fail";

/** `pending` = the agent has not said yet that it began. */
export const cardLifecycle: Lifecycle<CardOperationState, CardOperationEvent> = {
  pending: { begin: "running", succeed: "succeeded", fail: "failed" },
  running: { begin: "running", succeed: "succeeded", fail: "failed" },
  succeeded: {},
  failed: {},
};

/** One card operation (design §2); times in ms since the epoch. While open it is the card's lock. */
export interface CardOperation extends CardRequest {
  readonly id: string;
  readonly host: string;
  readonly hostName: string;
  readonly device: string;
  readonly cardId: string;
  readonly state: CardOperationState;
  readonly error?: { readonly code: string; readonly message: string } | undefined;
  readonly requestedAt: number;
  readonly deadline: number;
  readonly updatedAt: number;
}

/**
 * Six kernel writes of at most 120 s each (host.md §3.1) fit in: VFs away, ports, the driver out and
 * in, VFs back.
 */
export const cardDeadlineMs = 900_000;

/** INVALID_REQUEST with the field, when a request asks for what no card can be. */
export function checkCardRequest({ kind, layout, vfs }: CardRequest): void {
  if (kind !== "layout") {
    if (layout !== undefined) throw invalid("layout", `nothing with ${kind}`);
    if (vfs !== undefined) throw invalid("vfs", `nothing with ${kind}`);
    return;
  }
  if (layout === undefined) throw invalid("layout", layouts.join(", "));
  if (layout === "whole" || layout === "pf") {
    if (vfs !== undefined && vfs !== 0) throw invalid("vfs", `nothing with layout ${layout}`);
    return;
  }
  if (vfs === undefined ? layout === "vfs" : !isCount(vfs)) {
    throw invalid("vfs", `1 to ${mostVfs} functions`);
  }
}

function isCount(vfs: number): boolean {
  return Number.isInteger(vfs) && vfs >= 1 && vfs <= mostVfs;
}

function invalid(field: string, expected: string): Fault {
  return new Fault("INVALID_REQUEST", `${field}: expected ${expected}`, { field, expected });
}

/**
 * Refuses an operation on a card somebody uses or works on (design §2): IN_USE names the claim,
 * WRONG_STATE the deployable whose wish is under way. What is broken is under way for ever, and an
 * operation may be its only cure, so that does not count. A card that is gone can only be looked for.
 */
export function checkOperable(
  device: Pick<Device, "id" | "present">,
  members: readonly Deployable[],
  kind: CardKind,
): void {
  for (const member of members) {
    const [held] = heldHandles(member);
    if (held === undefined) continue;
    const [handle, { holder }] = held;
    const claim = holder?.claim;
    throw new Fault("IN_USE", `claim ${claim} holds ${handle} of deployable ${member.id}`, {
      deployable: member.id,
      handle,
      claim,
    });
  }
  if (!device.present && kind !== "rescan") {
    throw new Fault("WRONG_STATE", `card ${device.id} is gone`, { field: "device" });
  }
  const busy = members.find((member) => isBusy(member));
  if (busy === undefined) return;
  throw new Fault("WRONG_STATE", `deployable ${busy.id} is not settled: ${workOf(busy)}`, {
    deployable: busy.id,
  });
}

function isBusy(member: Deployable): boolean {
  if (!isWorking(member) || member.outcome.result === "failed") return false;
  return isPending(member) || member.cardOperation !== undefined || leaving(member) !== undefined;
}

function workOf(member: Deployable): string {
  if (member.cardOperation !== undefined) return "another operation holds its card";
  if (isPending(member)) return `image generation ${member.imageGeneration} is under way`;
  return `${leaving(member)} is being released`;
}

function leaving({ handles }: Deployable): string | undefined {
  return Object.entries(handles).find(
    ([, handle]) => handle.state === "releasing" && !isLost(handle),
  )?.[0];
}

/** Takes a deployable off offer for as long as an operation holds its card. */
export function withhold(deployable: Deployable, operation: string, now: number): Deployable {
  const { revision } = deployable;
  return { ...deployable, cardOperation: operation, revision: revision + 1, updatedAt: now };
}

/**
 * Puts a deployable back when its card's operation is over, however it ended. After anything but a
 * look every proof is void: each handle has to be cleaned at a higher fence, and an erased card to be
 * erased again, so that no report from before can put it on offer.
 */
export function giveBack(deployable: Deployable, kind: CardKind, now: number): Deployable {
  const { cardOperation: _, ...freed } = deployable;
  const proven = kind === "rescan" ? freed : startOver(unproven(freed), now);
  return { ...proven, revision: deployable.revision + 1, updatedAt: now };
}

function unproven(deployable: Deployable): Deployable {
  const handles = Object.entries(deployable.handles).map(([name, handle]) => {
    const isOut = handle.holder !== undefined || isLost(handle);
    return [name, isOut ? handle : { ...handle, fence: handle.fence + 1, state: "releasing" }];
  });
  return { ...deployable, clean: false, handles: Object.fromEntries(handles) };
}

/** The operation after an event of its agent or its deadline; undefined when it is over already. */
export function advance(
  operation: CardOperation,
  event: CardOperationEvent,
  at: { readonly now: number; readonly error?: CardOperation["error"] },
): CardOperation | undefined {
  const state = next(cardLifecycle, operation.state, event);
  if (state === undefined) return undefined;
  return { ...operation, state, error: at.error, updatedAt: at.now };
}

/** Why an operation failed whose deadline has passed: nobody began it, or it does not end. */
export function overdue({ state, cardId }: CardOperation): NonNullable<CardOperation["error"]> {
  return state === "pending"
    ? { code: "HOST_OFFLINE", message: `the agent did not begin with card ${cardId} in time` }
    : { code: "CARD_STUCK", message: `the operation on card ${cardId} did not end in time` };
}
