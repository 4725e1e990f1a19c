import { type Deployable, heldHandles, isPending } from "#domain/deployable";
import { Fault, isFault } from "#domain/faults";
import { deployableRoutes } from "#protocol/http/deployable-routes";
import type { OperationView } from "#protocol/http/deployables";
import { findDeployable } from "#store/deployables";
import { type Progress, readProgress } from "#store/receipts";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { progressView } from "./records.ts";
import { handle, httpFunction } from "./stack.ts";

/** A generation on which nothing was reported yet, as its deployable describes it. */
function unreported(deployable: Deployable, generation: number): Progress {
  const [, held] = heldHandles(deployable)[0] ?? [];
  return {
    deployable: deployable.id,
    generation,
    kind: deployable.wish.scrub === undefined ? "program" : "scrub",
    image: deployable.wish.image?.id,
    claim: held?.holder?.claim,
    project: held?.holder?.project,
    phase: "idle",
    percent: 0,
    state: "running",
    startedAt: deployable.updatedAt,
    updatedAt: deployable.updatedAt,
  };
}

/** What the deployable itself says of a generation outweighs the last progress of it. */
function stateOf(deployable: Deployable, progress: Progress): OperationView["state"] {
  const { generation } = progress;
  if (generation < deployable.imageGeneration) {
    return progress.state === "running" ? "superseded" : progress.state;
  }
  if (isPending(deployable)) return "running";
  return deployable.outcome.result === "ready" ? "succeeded" : "failed";
}

async function get(store: Store, call: Call): Promise<Answer> {
  const id = call.path["operation"] ?? "";
  const unknown = new Fault("UNKNOWN_OPERATION", `no operation ${id}`, { field: "operation" });
  const [, name, digits] = /^([0-9a-f-]{36})\.(\d{1,12})$/.exec(id) ?? [];
  if (name === undefined || digits === undefined) throw unknown;
  const generation = Number(digits);
  const deployable = await known(store, name, unknown);
  if (generation < 1 || generation > deployable.imageGeneration) throw unknown;
  const reported = await readProgress(store, name, generation);
  const progress =
    reported ??
    (generation === deployable.imageGeneration ? unreported(deployable, generation) : undefined);
  if (progress === undefined || !isVisible(deployable, progress, call)) throw unknown;
  const state = stateOf(deployable, progress);
  const percent = state === "succeeded" ? 100 : progress.percent;
  return { body: { ...progressView(progress), state, percent } };
}

async function known(store: Store, id: string, unknown: Fault): Promise<Deployable> {
  try {
    return await findDeployable(store, id);
  } catch (error) {
    throw isFault(error, "UNKNOWN_DEPLOYABLE") ? unknown : error;
  }
}

/** Admins, and the project for which the work was or is done; a scrub belongs to its last tenant. */
function isVisible(deployable: Deployable, progress: Progress, { caller }: Call): boolean {
  const owner = progress.project ?? deployable.lastProject;
  return caller.isAdmin || owner === caller.project;
}

/** The operation route over a given store. */
export function operationsFunction(store: Store) {
  return httpFunction(deployableRoutes, {
    getOperation: handle(async (call: Call) => await get(store, call)),
  });
}

const build: Create = (environment) => operationsFunction(storeFrom(environment));

export { build as create };
export const handler = entry(build);
