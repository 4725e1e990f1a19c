import { type Deployable, isPending } from "#domain/deployable";
import type { OperationView } from "#protocol/http/deployables";
import type { Progress } from "#store/receipts";
import { progressView } from "../records.ts";

type Ending = Pick<OperationView, "state" | "phase" | "percent" | "error">;

/**
 * One image generation as an operation. The deployable decides how the newest one stands; an older
 * one ended as its last progress says or was overtaken by the next. Generations that nothing was
 * reported of yet show the deployable's own times.
 */
export function operationView(
  deployable: Deployable,
  generation: number,
  progress: Progress | undefined,
): OperationView {
  const isNewest = generation === deployable.imageGeneration;
  const known = progress ?? unreported(deployable, generation);
  const view = progressView(known);
  const { error: _error, ...facts } = view;
  return { ...facts, ...(isNewest ? newest(deployable, view) : older(deployable, view)) };
}

function newest(deployable: Deployable, view: OperationView): Ending {
  if (isPending(deployable)) {
    const { phase, percent } = view;
    // What holds it up now; it goes on by itself once that is over.
    const error = view.state === "running" ? view.error : undefined;
    return { state: "running", phase, percent, ...(error === undefined ? {} : { error }) };
  }
  return settled(deployable, view);
}

function older(deployable: Deployable, view: OperationView): Ending {
  if (deployable.outcome.generation === view.imageGeneration) return settled(deployable, view);
  const { phase, percent, error, state } = view;
  if (state === "running") return { state: "superseded", phase, percent };
  return { state, phase, percent, ...(error === undefined ? {} : { error }) };
}

function settled({ outcome }: Deployable, view: OperationView): Ending {
  if (outcome.result === "ready") return { state: "succeeded", phase: "ready", percent: 100 };
  const error = outcome.error ?? view.error;
  return {
    state: "failed",
    phase: "failed",
    percent: view.percent,
    ...(error === undefined ? {} : { error }),
  };
}

function unreported(deployable: Deployable, generation: number): Progress {
  const isNewest = generation === deployable.imageGeneration;
  const { id, wish, updatedAt } = deployable;
  const holder = Object.values(deployable.handles).find((handle) => handle.holder)?.holder;
  return {
    deployable: id,
    generation,
    kind: isNewest && wish.scrub !== undefined ? "scrub" : "program",
    ...(isNewest ? { image: wish.image?.id, claim: holder?.claim } : {}),
    phase: "idle",
    percent: 0,
    state: "running",
    startedAt: updatedAt,
    updatedAt,
  };
}
