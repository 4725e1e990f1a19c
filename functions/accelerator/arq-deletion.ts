import { type Claim, isAwaited } from "#domain/claim";
import { isFault } from "#domain/faults";
import { releaseClaim } from "#store/release";
import type { Store } from "#store/store";
import { ofInstance, requestOf } from "./arqs.ts";
import type { Call } from "./endpoint.ts";
import { notFound, type Reply, refusal } from "./errors.ts";
import type { Accelerator } from "./parts.ts";
import { listArgument } from "./query.ts";
import { checkService } from "./service-token.ts";
import { uuidArgument } from "./uuids.ts";

/** `?arqs=u1,u2` or `?instance=u`: one of both. */
export async function deleteRequests(parts: Accelerator, call: Call): Promise<Reply> {
  const [arqs, instance] = [call.query.get("arqs"), call.query.get("instance")];
  if ((arqs === null) === (instance === null)) {
    throw refusal(400, "Exactly one of the arguments arqs and instance is needed.");
  }
  if (instance !== null) return await deleteOfInstance(parts, instance, call);
  const ids = [...new Set(listArgument(arqs ?? ""))].map((one) => uuidArgument(one, "arqs"));
  if (ids.length === 0) throw refusal(400, 'Missing argument: "arqs"');
  return await deleteNamed(parts, ids, call);
}

export async function deleteRequest(parts: Accelerator, call: Call): Promise<Reply> {
  return await deleteNamed(parts, [uuidArgument(call.path["uuid"] ?? "")], call);
}

/** Nova asks again and again: an instance without requests is no error. */
async function deleteOfInstance(parts: Accelerator, text: string, call: Call): Promise<Reply> {
  const { store } = parts.binding;
  const instance = uuidArgument(text, "instance");
  checkService(parts.settings, call.caller);
  for (const claim of await ofInstance(store, instance, call)) await ended(store, claim);
  return { status: 204 };
}

/** All that are there end, then 404 tells of one that is not; none ends when one is in use. */
async function deleteNamed(parts: Accelerator, ids: readonly string[], call: Call): Promise<Reply> {
  const { store } = parts.binding;
  const found = await Promise.all(
    ids.map(async (id) => await orMissing(requestOf(store, id, call))),
  );
  const claims = found.flatMap((claim) => claim ?? []);
  for (const claim of claims) checkUnused(parts, claim, call);
  const missing = ids.filter((id) => !claims.some((claim) => claim.id === id));
  for (const claim of claims) {
    if (!(await ended(store, claim))) missing.push(claim.id);
  }
  const [first] = missing;
  if (first !== undefined) throw notFound("ExtArq", first);
  return { status: 204 };
}

async function orMissing(reading: Promise<Claim>): Promise<Claim | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isFault(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

function checkUnused({ settings }: Accelerator, claim: Claim, { caller }: Call): void {
  if (!isAwaited(claim)) return;
  const told = `ARQ ${claim.id} is bound to instance ${claim.instance ?? ""}. Use the Compute API to manage instance accelerators.`;
  checkService(settings, caller, told);
}

/** False when it had ended before. */
async function ended(store: Store, claim: Claim): Promise<boolean> {
  try {
    await releaseClaim(store, claim);
    return true;
  } catch (error) {
    if (isFault(error, "UNKNOWN_CLAIM")) return false;
    throw error;
  }
}
