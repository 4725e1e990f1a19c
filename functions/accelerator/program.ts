import { type Deployable, heldHandles } from "#domain/deployable";
import { Fault, isFault } from "#domain/faults";
import { type ActiveImage, wantedImage } from "#domain/image";
import { isCompatible } from "#domain/inventory";
import { preload } from "#domain/operating";
import type { OperationView } from "#protocol/http/deployables";
import { changeDeployable, readDeployable } from "#store/deployables";
import { programDeployable } from "../http/program.ts";
import { operationId } from "../http/views.ts";
import { deployableOf, shown } from "./deployable-view.ts";
import type { Call } from "./endpoint.ts";
import { notFound, type Reply, refusal } from "./errors.ts";
import type { Accelerator } from "./parts.ts";
import { told, uuidArgument, uuidMember } from "./uuids.ts";

/** Programming by an operator (cyborg.md §1.5). */

/** The gateway ends at 29 s (design §8). */
const longestWaitMs = 25_000;
const firstPauseMs = 50;
const longestPauseMs = 1_000;
/** Each waiting request holds a connection; more are told where to look. */
const mostWaiting = 4;

/** One image generation of a deployable. */
interface Started {
  readonly deployable: Deployable;
  readonly generation: number;
}

/**
 * Programs the deployable of the path: 200 with it once the card says so, or 202 with the operation in
 * `Location` when that takes long or the request has `Prefer: respond-async`.
 */
export async function programFromPath(parts: Accelerator, call: Call): Promise<Reply> {
  const { store } = parts.binding;
  const image = imageOf(call.json());
  const { uuid = "", same = uuid } = call.path;
  const found = await deployableOf(store, uuid);
  if (uuidArgument(same) !== found.id) throw notFound("Deployable", same);
  const started = await start(parts, call, { found, image });
  const isAsync = /\brespond-async\b/i.test(call.headers["prefer"] ?? "");
  if (isAsync || parts.waiting.size >= mostWaiting) return accepted(started);
  parts.waiting.add(call.requestId);
  try {
    return await awaited(parts, call, started);
  } finally {
    parts.waiting.delete(call.requestId);
  }
}

/** `[{"path":"/program","op":"replace","value":[{"image_uuid":"…"}]}]`; 400 for anything else. */
function imageOf(body: unknown): string {
  const [patch] = Array.isArray(body) ? (body as unknown[]) : [];
  if (!isRecord(patch) || (Array.isArray(body) && body.length !== 1)) {
    throw cannot("Exactly one operation on /program is needed");
  }
  const { path, op, value } = patch;
  if (path !== "/program") throw cannot(`Invalid path in patch ${told(path)}`);
  if (op !== "replace" && op !== "add") throw cannot("The op must be replace");
  const [wanted] = Array.isArray(value) ? (value as unknown[]) : [];
  if (!isRecord(wanted)) throw cannot("The value must be a list with an image_uuid");
  return uuidMember(wanted["image_uuid"]);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function cannot(reason: string): Fault {
  return refusal(400, `Couldn't apply patch. Reason: ${reason}`);
}

/** A deployable that is claimed is programmed under the rules of its claims; a free one at once. */
async function start(
  parts: Accelerator,
  { caller }: Call,
  { found, image: id }: { readonly found: Deployable; readonly image: string },
): Promise<Started> {
  const { store, catalogue } = parts.binding;
  const image = await imageNamed(parts, id, caller);
  if (heldHandles(found).length > 0) {
    const once = { id: parts.newId(), body: "" };
    const wanted = { caller, once, request: { image: image.id } };
    const { body } = await programDeployable({ store, catalogue }, found, wanted);
    return { deployable: found, generation: (body as OperationView).imageGeneration };
  }
  const after = await changeDeployable(store, found, (one) => {
    checkLoadable(one, image);
    return preload(one, wantedImage(image), store.now());
  });
  return { deployable: after, generation: after.imageGeneration };
}

async function imageNamed(
  { binding: { catalogue } }: Accelerator,
  id: string,
  caller: Call["caller"],
): Promise<ActiveImage> {
  try {
    return await catalogue.get(id, caller);
  } catch (error) {
    throw isFault(error, "UNKNOWN_IMAGE") ? notFound("Image", id) : error;
  }
}

function checkLoadable(deployable: Deployable, image: ActiveImage): void {
  if (heldHandles(deployable).length > 0) {
    throw new Fault("IN_USE", "a claim took this deployable meanwhile");
  }
  if (!isCompatible(deployable, image)) {
    throw new Fault("IMAGE_INCOMPATIBLE", `image ${image.id} is not for this region`);
  }
  if (!deployable.hostOnline) throw new Fault("HOST_OFFLINE");
  if (!deployable.present) throw new Fault("WRONG_STATE", "the card is gone");
  if (deployable.cardOperation !== undefined) {
    throw new Fault("WRONG_STATE", "an operation holds its card");
  }
}

function accepted({ deployable, generation }: Started): Reply {
  return {
    status: 202,
    headers: { location: `/v1/operations/${operationId(deployable.id, generation)}` },
  };
}

async function awaited(parts: Accelerator, call: Call, started: Started): Promise<Reply> {
  const { store } = parts.binding;
  const { host, id } = started.deployable;
  let pause = firstPauseMs;
  for (let waited = 0; waited < longestWaitMs; waited += pause) {
    await store.sleep(pause);
    pause = Math.min(pause * 1.5, longestPauseMs);
    const newest = await readDeployable(store, host, id);
    if (newest === undefined) throw notFound("Deployable", id);
    if (hasEnded(newest, started.generation)) {
      return { status: 200, body: await shown(parts, newest, call.base) };
    }
  }
  return accepted(started);
}

/** True when this generation is loaded. The fault that ended it; CONFLICT when another one came after. */
function hasEnded({ imageGeneration, outcome }: Deployable, generation: number): boolean {
  if (outcome.generation < generation && imageGeneration === generation) return false;
  if (outcome.generation !== generation) {
    throw new Fault("CONFLICT", "the deployable was given something else to do meanwhile");
  }
  if (outcome.result === "ready") return true;
  throw new Fault("PROGRAM_FAILED", outcome.error?.message);
}
