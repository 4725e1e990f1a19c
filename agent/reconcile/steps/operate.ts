import { Fault } from "#domain/faults";
import type { Work } from "../../drivers/driver.ts";
import type { Operation } from "../../memory/journal.ts";
import { without } from "../../memory/without.ts";
import type { StepOf } from "../step.ts";
import { operationId, requireGeneration, type StepContext, wallNow } from "./context.ts";
import { watched } from "./still-running.ts";

type Act = (work: Work) => Promise<void>;

/** Loads the verified bytes. The read back is a step of its own. */
export async function programImage(step: StepOf<"program">, context: StepContext): Promise<void> {
  const { site, place, equipment } = context;
  const { verified } = site;
  const { id, sha256, functionId } = step.image;
  if (verified?.sha256 !== sha256) throw new Fault("IMAGE_CORRUPT", "the image was not verified");
  await forgetProofs(context);
  await operate(
    { kind: "program", generation: step.generation, image: { id, sha256, functionId } },
    context,
    (work) => equipment.driver.program(place, verified, work),
  );
}

/** Makes the whole deployable clean. The read back is a step of its own. */
export async function scrubDeployable(step: StepOf<"scrub">, context: StepContext): Promise<void> {
  const { place, equipment } = context;
  await forgetProofs(context);
  const { generation, method } = step;
  await operate({ kind: "scrub", generation, method }, context, (work) =>
    equipment.driver.scrub(place, method, work),
  );
}

/** Intent to disk, last look at the newest wish, act, "acted" to disk. */
async function operate(
  what: Pick<Operation, "kind" | "generation" | "method" | "image">,
  context: StepContext,
  act: Act,
): Promise<void> {
  const { site, equipment } = context;
  const operation: Operation = {
    ...what,
    id: operationId(context),
    bootId: site.bootId,
    stage: "intended",
    before: site.observation?.loaded.functionId ?? null,
    at: wallNow(context),
  };
  await site.changeJournal((journal) => ({ ...journal, operation }));
  requireGeneration(context, what.generation);
  const limit = equipment.deadlines[what.kind];
  await watched(act(context.work), limit, equipment.runtime.sleep);
  await site.changeJournal((journal) => ({
    ...journal,
    operation: { ...operation, stage: "acted" },
  }));
}

/** What was proven about the card ends before the card is touched. */
async function forgetProofs({ site }: StepContext): Promise<void> {
  await site.changeMarks((marks) => without(marks, "clean", "loaded"));
}
