import type { KeyObject } from "node:crypto";
import { Fault, isFaultCode } from "#domain/faults";
import { type Permit, verifyPermit } from "#protocol/permit";
import type { Attachment, PlugTarget } from "#protocol/wire/shapes";
import { withHandle } from "./memory/journal.ts";
import { higherFences } from "./memory/marks.ts";
import { seenFences } from "./reconcile/intake.ts";
import type { Reconciler } from "./reconcile/reconciler.ts";
import type { Site } from "./reconcile/site.ts";
import type { Runtime } from "./runtime.ts";
import type { TrustedClock } from "./trusted-clock.ts";

/** What plugging by permit needs. */
export interface PermitDesk {
  readonly hostId: string;
  /** The cloud's permit key from the join; without it no permit is honoured. */
  readonly permitKey: KeyObject | undefined;
  readonly reconciler: Reconciler;
  readonly trustedClock: TrustedClock;
  readonly runtime: Runtime;
}

/** A handle's state after a plug or unplug by permit. */
export interface HandleAnswer {
  readonly deployable: string;
  readonly handle: string;
  readonly plugged: boolean;
  readonly attachment?: Attachment;
}

/** How long the caller waits for the handle, and how often it is looked at, ms. */
const patienceMs = 60_000;
const lookMs = 50;

/**
 * Plugs a handle for the holder of a permit, from what is on this host (design §7).
 * Throws PERMIT_INVALID, UNKNOWN_DEPLOYABLE, STALE_FENCE, WRONG_STATE, PLUG_FAILED, TRY_AGAIN.
 */
export async function plugByPermit(
  desk: PermitDesk,
  text: string,
  target: PlugTarget,
): Promise<HandleAnswer> {
  const { permit, site } = await admitted(desk, text);
  requireImage(site, permit);
  await lay(desk, site, permit, target);
  return await outcome(desk, site, permit.handle, true);
}

/** Takes a handle out of its guest for the holder of a permit. Faults as in {@link plugByPermit}. */
export async function unplugByPermit(desk: PermitDesk, text: string): Promise<HandleAnswer> {
  const { permit, site } = await admitted(desk, text);
  await lay(desk, site, permit, undefined);
  return await outcome(desk, site, permit.handle, false);
}

async function admitted(
  { hostId, permitKey, reconciler, trustedClock }: PermitDesk,
  text: string,
): Promise<{ readonly permit: Permit; readonly site: Site }> {
  if (permitKey === undefined) {
    throw new Fault("PERMIT_INVALID", "this agent was given no permit key when it joined");
  }
  const permit = await verifyPermit(text, permitKey, trustedClock.judgingTime());
  if (permit.host !== hostId) {
    throw new Fault("PERMIT_INVALID", "the permit is for another host", { host: permit.host });
  }
  const site = reconciler.site(permit.deployable);
  if (!site.trusted) {
    throw new Fault("PERMIT_INVALID", "the agent lost its marks and waits for the cloud");
  }
  const seen = seenFences(site.marks, site.newest)[permit.handle] ?? 0;
  if (permit.fence < seen) {
    throw new Fault("STALE_FENCE", `the permit's fence ${permit.fence} is older than ${seen}`);
  }
  if (site.place?.deployable.handles.every(({ name }) => name !== permit.handle) !== false) {
    throw new Fault("CARD_GONE", `there is no handle ${permit.handle} now`);
  }
  return { permit, site };
}

/** The digest must be of what we loaded ourselves under this boot and the card still says so. */
function requireImage({ marks, observation, bootId }: Site, { sha256 }: Permit): void {
  if (sha256 === undefined) return;
  const { loaded } = marks;
  const same =
    loaded?.bootId === bootId &&
    loaded.sha256 === sha256 &&
    observation?.loaded.functionId === loaded.functionId;
  if (!same) throw new Fault("WRONG_STATE", "the permit's image is not the one that is loaded");
}

/** Writes the local wish down and lets the reconciler do the rest. */
async function lay(
  { reconciler }: PermitDesk,
  site: Site,
  permit: Permit,
  target: PlugTarget | undefined,
): Promise<void> {
  const { handle, fence, claim, project } = permit;
  await site.changeMarks((marks) => ({
    ...marks,
    fences: higherFences(marks.fences, { [handle]: fence }),
  }));
  const local = {
    claim,
    project,
    fence,
    plugged: target !== undefined,
    ...(target === undefined ? {} : { target }),
    over: site.newest?.handles[handle]?.plugged ?? false,
  };
  await site.changeJournal((journal) =>
    withHandle(journal, handle, { ...journal.handles[handle], local }),
  );
  site.rest.succeeded(handle);
  reconciler.wake(site);
}

async function outcome(
  { runtime }: PermitDesk,
  site: Site,
  handle: string,
  plugged: boolean,
): Promise<HandleAnswer> {
  const { clock, sleep } = runtime;
  const end = clock.monotonic() + patienceMs;
  while (clock.monotonic() < end) {
    const { plug, bound } = site.journal.handles[handle] ?? {};
    const attachment = plug?.bootId === site.bootId ? plug.attachment : undefined;
    const reached = plugged ? attachment !== undefined : plug === undefined && bound === undefined;
    if (reached) {
      const answer = { deployable: site.id, handle, plugged };
      return attachment === undefined ? answer : { ...answer, attachment };
    }
    const error = site.rest.errorOf(handle) ?? site.trouble;
    if (error !== undefined) throw faultOf(error);
    await sleep(lookMs);
  }
  throw new Fault("TRY_AGAIN", "the handle is still busy; the agent goes on with it");
}

function faultOf({ code, message }: { readonly code: string; readonly message: string }): Fault {
  return new Fault(isFaultCode(code) ? code : "INTERNAL", message);
}
