import { type Claim, isAwaited, maxCount } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { isFault } from "#domain/faults";
import { type Profile, readGroup } from "#domain/profile";
import { createArqs, type WantedArq } from "#store/arqs";
import {
  claimsOfInstance,
  listAllClaims,
  listClaims,
  readClaim,
  requireVisible,
} from "#store/claims";
import { deployableKey } from "#store/keys";
import { readProfile } from "#store/named";
import { failOverdue } from "#store/release";
import { valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import { arqView } from "./arq-view.ts";
import type { Call } from "./endpoint.ts";
import { notFound, notResolved, type Reply, refusal } from "./errors.ts";
import type { Accelerator } from "./parts.ts";
import { asUuid, uuidArgument } from "./uuids.ts";

/** Accelerator requests (cyborg.md §1.3): made, listed and shown. */

/** One request per accelerator: group `n` of the profile wants as many as its amounts add up to. */
export async function createRequests(parts: Accelerator, call: Call): Promise<Reply> {
  const { store } = parts.binding;
  const profile = await wantedProfile(store, call.json());
  const wanted = wantedOf(profile);
  const claims = await createArqs(store, {
    project: call.caller.project,
    user: call.caller.user,
    profile: profile.name,
    ids: wanted.map(() => parts.newId()),
    wanted,
    defaultQuota: parts.settings.defaultQuota,
  });
  return { status: 201, body: { arqs: claims.map((claim) => arqView(claim, call.base)) } };
}

async function wantedProfile(store: Store, body: unknown): Promise<Profile> {
  const name =
    typeof body === "object" && body !== null && "device_profile_name" in body
      ? body.device_profile_name
      : undefined;
  if (typeof name !== "string") throw refusal(400, "device_profile_name is needed.");
  try {
    if (/^[\w.-]{1,255}$/.test(name)) return await readProfile(store, name);
  } catch (error) {
    if (!isFault(error, "UNKNOWN_PROFILE")) throw error;
  }
  throw notFound("Device Profile", name, "name");
}

function wantedOf({ name, groups }: Profile): readonly WantedArq[] {
  const asked = groups.map(readGroup);
  const amounts = asked.flatMap(({ resources }) => resources.map(({ count }) => count));
  const sum = amounts.reduce((all, count) => all + count, 0);
  if (sum > maxCount) {
    throw refusal(
      400,
      `Device profile ${name} asks for ${sum} accelerators, at most ${maxCount} can be had.`,
    );
  }
  return asked.flatMap(({ resources, required, forbidden, image, functionId }, index) => {
    const asks = {
      required,
      forbidden,
      image: image && (asUuid(image) ?? image),
      functionId: functionId && (asUuid(functionId) ?? functionId),
    };
    return resources.flatMap(({ resourceClass, count }) =>
      Array.from({ length: count }, () => ({ group: index, resourceClass, asks })),
    );
  });
}

const resolvedStates: ReadonlySet<Claim["state"]> = new Set(["Bound", "BindFailed", "Deleting"]);

const isResolved = ({ state }: Claim) => resolvedStates.has(state);

/** Of one instance by its pointers; else of the caller's project, for admins of all. */
export async function listRequests(parts: Accelerator, call: Call): Promise<Reply> {
  const { store } = parts.binding;
  const { query, base } = call;
  const state = query.get("bind_state");
  if (state !== null && state !== "resolved") {
    throw refusal(400, `Bad state: ${state} for ARQ: None. Expected state(s): ['resolved']`);
  }
  const text = query.get("instance");
  const instance = text === null ? undefined : uuidArgument(text, "instance");
  const found = await (instance === undefined
    ? everyRequest(store, call)
    : ofInstance(store, instance, call));
  const claims = (await Promise.all(found.map(async (one) => await asItIs(store, one)))).flat();
  if (state !== null && instance !== undefined && !claims.every(isResolved)) return notResolved();
  if (state === null && instance !== undefined) checkBound(parts, claims, call);
  const shown = state === null ? claims : claims.filter(isResolved);
  return { status: 200, body: { arqs: await viewsOf(store, shown, base) } };
}

/**
 * Nova looks at an instance's requests before it waits for them, and does not look at how they ended:
 * it would run a server without its card. So to a service that starts or builds a server, a request
 * that failed is a failure of the whole. People, and who asks for resolved ones, see the list as it is.
 */
function checkBound(
  { settings }: Accelerator,
  claims: readonly Claim[],
  { caller }: Pick<Call, "caller">,
): void {
  const failed = claims.filter((claim) => claim.state === "BindFailed");
  const isService = caller.isService || settings.serviceTokens === "optional";
  if (failed.length > 0 && isService) throw refusal(409, bindTrouble(failed));
}

/** Why requests could not be bound, in a sentence for an error. */
export function bindTrouble(failed: readonly Claim[]): string {
  const told = failed.map(({ id, reason }) => `ARQ ${id}: ${reason?.message ?? "failed"}`);
  return `Accelerators could not be bound. ${told.join("; ")}`;
}

/** Requests with the addresses that their handles have now. */
async function viewsOf(store: Store, claims: readonly Claim[], base: string) {
  const held = claims.flatMap(({ state, host, deployable }) =>
    state === "Bound" && host !== undefined && deployable !== undefined
      ? [deployableKey(host, deployable)]
      : [],
  );
  const rows = held.length === 0 ? [] : await store.table.getMany(held);
  const known = new Map(
    rows.flatMap((row) => valueOrUndefined<Deployable>(row) ?? []).map((one) => [one.id, one]),
  );
  return claims.map((claim) => {
    const { deployable = "", handle = "" } = claim;
    return arqView(claim, base, known.get(deployable)?.handles[handle]?.address);
  });
}

/** A bind whose time is over has failed; one that ended meanwhile is left out. */
async function asItIs(store: Store, claim: Claim): Promise<readonly Claim[]> {
  try {
    return [await failOverdue(store, claim)];
  } catch (error) {
    if (isFault(error, "UNKNOWN_CLAIM")) return [];
    throw error;
  }
}

/**
 * Requests of an instance that the caller may see. A native claim may name the same instance, but its
 * handle is not the scheduler's to attach or to take away.
 */
export async function ofInstance(
  store: Store,
  instance: string,
  { caller }: Pick<Call, "caller">,
): Promise<readonly Claim[]> {
  const claims = await claimsOfInstance(store, instance);
  const requests = claims.filter(isAwaited);
  return requests.filter(({ project }) => caller.isAdmin || project === caller.project);
}

async function everyRequest(store: Store, { caller }: Call): Promise<readonly Claim[]> {
  const found: Claim[] = [];
  let after: string | undefined;
  do {
    const wanted = { limit: 200, after };
    const page = await (caller.isAdmin
      ? listAllClaims(store, wanted)
      : listClaims(store, caller.project, wanted));
    found.push(...page.items);
    after = page.next;
  } while (after !== undefined);
  return found;
}

/** One request the caller may see; 404, also for another project's. */
export async function requestOf(store: Store, text: string, { caller }: Call): Promise<Claim> {
  const id = uuidArgument(text);
  try {
    return requireVisible(await readClaim(store, id), id, caller);
  } catch (error) {
    throw isFault(error, "UNKNOWN_CLAIM") ? notFound("ExtArq", id) : error;
  }
}

export async function getRequest({ binding }: Accelerator, call: Call): Promise<Reply> {
  const { store } = binding;
  const claim = await requestOf(store, call.path["uuid"] ?? "", call);
  const [body] = await viewsOf(store, [await failOverdue(store, claim)], call.base);
  return { status: 200, body };
}
