import { type Deployable, heldHandles } from "#domain/deployable";
import { Fault, isFault } from "#domain/faults";
import { deployableRoutes } from "#protocol/http/deployable-routes";
import { isUuid } from "#protocol/uuid";
import { findDeployable } from "#store/deployables";
import { type Progress, readProgress } from "#store/receipts";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call, Caller } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";
import { operationView } from "./views/operation.ts";

async function get(store: Store, call: Call): Promise<Answer> {
  const id = call.path["operation"] ?? "";
  const { deployable: deployableId, generation } = partsOf(id);
  const [deployable, progress] = await Promise.all([
    found(store, deployableId, id),
    readProgress(store, deployableId, generation),
  ]);
  const exists = generation <= deployable.imageGeneration;
  if (!exists || !isVisible(call.caller, deployable, progress)) throw unknown(id);
  return { body: operationView(deployable, generation, progress) };
}

/** `<deployable>.<image generation>`; generations count from 1. */
function partsOf(id: string): { readonly deployable: string; readonly generation: number } {
  const [, deployable = "", digits = ""] = /^(.+)\.([1-9]\d{0,11})$/.exec(id) ?? [];
  if (!isUuid(deployable)) throw unknown(id);
  return { deployable, generation: Number(digits) };
}

async function found(store: Store, deployable: string, id: string): Promise<Deployable> {
  try {
    return await findDeployable(store, deployable);
  } catch (error) {
    throw isFault(error, "UNKNOWN_DEPLOYABLE") ? unknown(id) : error;
  }
}

/**
 * Admins see every operation, a project those of its own claims. A scrub belongs to no claim: whoever
 * holds the deployable sees it and, until someone does, whoever left it.
 */
function isVisible(
  { isAdmin, project }: Caller,
  deployable: Deployable,
  progress: Progress | undefined,
): boolean {
  if (isAdmin) return true;
  if (progress?.project !== undefined) return progress.project === project;
  const holders = heldHandles(deployable).map(([, handle]) => handle.holder?.project);
  return holders.length === 0 ? deployable.lastProject === project : holders.includes(project);
}

function unknown(id: string): Fault {
  return new Fault("UNKNOWN_OPERATION", `no operation ${id}`, { field: "operation" });
}

/** The operation routes over given parts. */
export function operationsFunction({ store }: { readonly store: Store }) {
  return httpFunction(deployableRoutes, {
    getOperation: handle(async (call: Call) => await get(store, call)),
  });
}

const build: Create = (environment) => operationsFunction({ store: storeFrom(environment) });

export { build as create };
export const handler = entry(build);
