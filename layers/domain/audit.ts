import type { CardOperation } from "./card.ts";
import type { Claim } from "./claim.ts";
import { type Deployable, heldHandles, stateOf } from "./deployable.ts";
import {
  changedHandles,
  claimFacts,
  deployableFacts,
  type Facts,
  type QuotaFacts,
} from "./history/facts.ts";
import type { Host } from "./host.ts";
import type { Image, SigningKey } from "./image.ts";
import type { Quota } from "./quota.ts";

/** One line of the audit, derived from a change of a row. */
export interface AuditEvent {
  readonly kind: string;
  readonly text: string;
  readonly project?: string | undefined;
  readonly host?: string | undefined;
  readonly deployable?: string | undefined;
  readonly claim?: string | undefined;
  readonly image?: string | undefined;
  /** What a program needs to judge the history; absent where there is nothing to judge. */
  readonly facts?: Facts | undefined;
}

/** What became of a claim. */
export function claimEvents(
  before: Claim | undefined,
  after: Claim | undefined,
): readonly AuditEvent[] {
  const claim = after ?? before;
  if (claim === undefined) return [];
  const about = {
    project: claim.project,
    claim: claim.id,
    // A claim that was unbound names no place any more: the place it left has this in its history.
    host: claim.host ?? before?.host,
    deployable: claim.deployable ?? before?.deployable,
    image: claim.image,
    facts: claimFacts(before, after),
  };
  if (after === undefined)
    return [{ ...about, kind: "claim.released", text: `released by its owner or its lease` }];
  const began = grantEvent(before, after) ?? movedEvent(before, after);
  return began === undefined ? [] : [{ ...about, ...began }];
}

type Told = Pick<AuditEvent, "kind" | "text">;

/** A claim of the native API is granted as it is made; an accelerator request when it is bound. */
function grantEvent(before: Claim | undefined, after: Claim): Told | undefined {
  const { handle, resourceClass, pciAddress, fence } = after;
  if (handle === undefined || before?.handle !== undefined) return undefined;
  const where = pciAddress === undefined ? "" : ` at ${pciAddress}`;
  return { kind: "claim.granted", text: `granted ${resourceClass}${where}, fence ${fence ?? 0}` };
}

function movedEvent(before: Claim | undefined, after: Claim): Told | undefined {
  if (before === undefined) {
    return { kind: "claim.created", text: `asked for ${after.resourceClass}` };
  }
  if (before.state !== after.state) {
    const why = after.reason === undefined ? "" : `: ${after.reason.code} ${after.reason.message}`;
    return { kind: "claim.state", text: `${before.state} → ${after.state}${why}` };
  }
  if (before.project !== after.project) {
    return { kind: "claim.handed", text: `from project ${before.project} to ${after.project}` };
  }
  return before.leaseUntil === after.leaseUntil
    ? undefined
    : { kind: "claim.renewed", text: "lease renewed" };
}

/** What became of a deployable: state, generations, handles. Claims tell their own story. */
export function deployableEvents(
  before: Deployable | undefined,
  after: Deployable | undefined,
): readonly AuditEvent[] {
  if (after === undefined) return [];
  const about = { host: after.host, deployable: after.id };
  if (before === undefined) {
    const text = `${after.vendor} ${after.product} ${after.region} found at ${after.address}`;
    const facts = deployableFacts(undefined, after, Object.keys(after.handles));
    return [{ ...about, kind: "deployable.found", text, facts }];
  }
  return movesOf(before, after).map((event) => ({ ...about, ...event }));
}

type Move = Omit<AuditEvent, "host" | "deployable">;

/**
 * The events of one change. Each handle that changed stands in the facts of exactly one of them: its
 * own event or, as a grant and a release are told by the claim, the first. Where there is no other,
 * such a handle has an event after all.
 */
function movesOf(before: Deployable, after: Deployable): readonly Move[] {
  const changed = changedHandles(before, after);
  const told = changed.filter((name) => hasOwnEvent(before, after, name));
  const first = stateEvent(before, after);
  const isLonely = first === undefined && told.length === 0;
  const own = isLonely ? changed.filter((name) => isMoved(before, after, name)) : told;
  const rest = changed.filter((name) => !own.includes(name));
  const events = [
    ...(first === undefined ? [] : [{ ...first, names: [] }]),
    ...own.map((name) => ({ ...handleEvent(before, after, name), names: [name] })),
  ];
  return events.map(({ names, ...event }, index) => ({
    ...event,
    facts: deployableFacts(before, after, index === 0 ? [...names, ...rest] : names),
  }));
}

function stateEvent(before: Deployable, after: Deployable): Move | undefined {
  const [was, is] = [stateOf(before), stateOf(after)];
  if (was.state === is.state && was.reason === is.reason) return undefined;
  const why = is.reason === undefined ? "" : ` (${is.reason})`;
  const text = `${was.state} → ${is.state}${why}, image generation ${after.imageGeneration}`;
  return { kind: "deployable.state", text, image: after.wish.image?.id };
}

function handleEvent(before: Deployable, after: Deployable, name: string): Move {
  const [was, is] = [before.handles[name], after.handles[name]];
  const claim = is?.holder?.claim ?? was?.holder?.claim;
  const text = `${name} at ${is?.address}: ${was?.state} → ${is?.state}, fence ${is?.fence}`;
  return { kind: "handle.state", text, claim, project: projectOf(after, name) };
}

function isMoved(before: Deployable, after: Deployable, name: string): boolean {
  const was = before.handles[name]?.state;
  return was !== undefined && was !== after.handles[name]?.state;
}

function hasOwnEvent(before: Deployable, after: Deployable, name: string): boolean {
  const [was, is] = [before.handles[name]?.state ?? "", after.handles[name]?.state ?? ""];
  return isMoved(before, after, name) && !isToldByClaim(was, is);
}

/** A grant and a release are told by the claim itself. */
function isToldByClaim(was: string, is: string): boolean {
  return (was === "free" && is === "claimed") || (was !== "free" && is === "releasing");
}

function projectOf(deployable: Deployable, name: string): string | undefined {
  return heldHandles(deployable).find(([one]) => one === name)?.[1].holder?.project;
}

/** What became of an image. */
export function imageEvents(
  before: Image | undefined,
  after: Image | undefined,
): readonly AuditEvent[] {
  if (after === undefined || before?.state === after.state) return [];
  const why = after.reason === undefined ? "" : `: ${after.reason.code} ${after.reason.message}`;
  const about = { project: after.project, image: after.id };
  const text = `${before?.state ?? "new"} → ${after.state}${why}`;
  return [{ ...about, kind: "image.state", text }];
}

/** What became of a host. */
export function hostEvents(
  before: Host | undefined,
  after: Host | undefined,
): readonly AuditEvent[] {
  if (after === undefined) return [];
  const about = { host: after.id };
  if (before === undefined) return [{ ...about, kind: "host.created", text: `host ${after.name}` }];
  const events: AuditEvent[] = [];
  if (before.state !== after.state) {
    events.push({ ...about, kind: "host.state", text: `${before.state} → ${after.state}` });
  }
  if (before.publicKey !== after.publicKey) {
    events.push({ ...about, kind: "host.joined", text: "a new agent key was registered" });
  }
  if (!before.revoked && after.revoked) {
    events.push({ ...about, kind: "host.revoked", text: after.alarm ?? "revoked by an operator" });
  }
  if (before.bootId !== undefined && before.bootId !== after.bootId) {
    events.push({ ...about, kind: "host.rebooted", text: `boot ${after.bootId ?? "unknown"}` });
  }
  return events;
}

/** An operation on a card that took the lock; its end is told by {@link cardEndEvents}. */
export function cardLockEvents(
  before: CardOperation | undefined,
  after: CardOperation | undefined,
): readonly AuditEvent[] {
  if (after === undefined || before?.id === after.id) return [];
  return [{ kind: "card.locked", host: after.host, text: `${askedOf(after)}, ${after.id}` }];
}

/** How an operation on a card ended. */
export function cardEndEvents(
  before: CardOperation | undefined,
  after: CardOperation | undefined,
): readonly AuditEvent[] {
  if (after === undefined || before !== undefined) return [];
  const { host, state, error } = after;
  const why = error === undefined ? "" : `: ${error.code} ${error.message}`;
  return [{ kind: "card.freed", host, text: `${askedOf(after)} ${state}${why}, ${after.id}` }];
}

function askedOf({ kind, layout, vfs, device }: CardOperation): string {
  const wanted = [kind, layout, vfs].filter((part) => part !== undefined).join(" ");
  return `${wanted} of card ${device}`;
}

/** What became of a signing key. */
export function keyEvents(
  before: SigningKey | undefined,
  after: SigningKey | undefined,
): readonly AuditEvent[] {
  if (after === undefined) return [];
  if (before === undefined) return [{ kind: "key.added", text: `${after.name} ${after.id}` }];
  return before.revokedAt === undefined && after.revokedAt !== undefined
    ? [{ kind: "key.revoked", text: `${after.name} ${after.id}` }]
    : [];
}

/** What became of a quota: how much a project may hold. What it holds is told by its claims. */
export function quotaEvents(
  before: Quota | undefined,
  after: Quota | undefined,
): readonly AuditEvent[] {
  if (after === undefined || before?.limit === after.limit) return [];
  const { project, resourceClass, limit } = after;
  const facts: QuotaFacts = {
    about: "quota",
    project,
    resourceClass,
    limit,
    wasLimit: before?.limit,
  };
  return [{ kind: "quota.set", text: `${project} may hold ${limit} ${resourceClass}`, facts }];
}
