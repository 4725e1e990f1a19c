import type { CardOperation } from "./card.ts";
import type { Claim } from "./claim.ts";
import { type Deployable, heldHandles, stateOf } from "./deployable.ts";
import type { Host } from "./host.ts";
import type { Image, SigningKey } from "./image.ts";

/** One line of the audit, derived from a change of a row. */
export interface AuditEvent {
  readonly kind: string;
  readonly text: string;
  readonly project?: string | undefined;
  readonly host?: string | undefined;
  readonly deployable?: string | undefined;
  readonly claim?: string | undefined;
  readonly image?: string | undefined;
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
    host: claim.host,
    deployable: claim.deployable,
    image: claim.image,
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
    return [{ ...about, kind: "deployable.found", text }];
  }
  return [...stateEvents(before, after), ...handleEvents(before, after)].map((event) => ({
    ...about,
    ...event,
  }));
}

function stateEvents(before: Deployable, after: Deployable): readonly AuditEvent[] {
  const [was, is] = [stateOf(before), stateOf(after)];
  if (was.state === is.state && was.reason === is.reason) return [];
  const why = is.reason === undefined ? "" : ` (${is.reason})`;
  const text = `${was.state} → ${is.state}${why}, image generation ${after.imageGeneration}`;
  return [{ kind: "deployable.state", text, image: after.wish.image?.id }];
}

function handleEvents(before: Deployable, after: Deployable): readonly AuditEvent[] {
  return Object.entries(after.handles).flatMap(([name, handle]) => {
    const was = before.handles[name]?.state;
    if (was === undefined || was === handle.state || isToldByClaim(was, handle.state)) return [];
    const claim = handle.holder?.claim ?? before.handles[name]?.holder?.claim;
    const text = `${name} at ${handle.address}: ${was} → ${handle.state}, fence ${handle.fence}`;
    return [{ kind: "handle.state", text, claim, project: projectOf(after, name) }];
  });
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
