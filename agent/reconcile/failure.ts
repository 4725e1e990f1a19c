import { type Fault, isFault } from "#domain/faults";
import { wireErrorOf } from "#protocol/wire/codec";
import { without } from "../memory/without.ts";
import type { Site } from "./site.ts";
import type { Step } from "./step.ts";
import { StillRunning } from "./steps/still-running.ts";
import { isPassing, triedWork } from "./tries.ts";
import type { TurnContext, TurnResult } from "./turn.ts";

/** Writes down what a failed step means: time will help, a try is gone, or the card is stuck. */
export async function failStep(
  step: Step,
  error: unknown,
  site: Site,
  context: TurnContext,
): Promise<TurnResult> {
  const { log } = context.equipment.runtime;
  const told = wireErrorOf(error);
  log("step-failed", { deployable: site.id, step: step.kind, ...told, cause: causeOf(error) });
  if (isFault(error, "CARD_STUCK")) return await stick(site, error, context);
  const counted = !(isFault(error) && isPassing(error.code));
  if ("handle" in step) {
    const wish = JSON.stringify(site.wish?.handles[step.handle] ?? null);
    site.rest.failed(step, wish, told, counted);
    return "stepped";
  }
  site.trouble = told;
  if (counted) await countTry(step, site, told);
  return "waiting";
}

async function countTry(step: Step, site: Site, told: ReturnType<typeof wireErrorOf>) {
  const generation = "operation" in step ? step.operation.generation : generationOf(step);
  await site.changeMarks((marks) => {
    const { operation } = site.journal;
    const ended = operation === undefined ? {} : { lastOperation: operation.id };
    if (marks.work === undefined || marks.work.generation !== generation)
      return { ...marks, ...ended };
    return { ...marks, ...ended, work: triedWork(marks.work, told) };
  });
  if (site.journal.operation === undefined) return;
  await site.changeJournal((journal) => without(journal, "operation"));
}

function generationOf(step: Step): number | undefined {
  return "generation" in step ? step.generation : undefined;
}

/** No further touch until the operation ended or the host was restarted (design §5). */
async function stick(site: Site, error: Fault, context: TurnContext): Promise<TurnResult> {
  const stuck = { reason: error.message };
  await site.changeJournal((journal) => ({ ...journal, stuck }));
  if (error instanceof StillRunning) {
    void error.ended
      .then(() => site.changeJournal((journal) => without(journal, "stuck")))
      .then(context.wake, (cause: unknown) =>
        context.equipment.runtime.log("unstick-failed", { cause: String(cause) }),
      );
  }
  return "stepped";
}

function causeOf(error: unknown): string | undefined {
  if (!isFault(error)) return String(error instanceof Error ? error.stack : error);
  return error.cause instanceof Error ? error.cause.message : undefined;
}
