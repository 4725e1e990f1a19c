import { isFault } from "#domain/faults";
import type { StepKind, StepOf } from "../step.ts";
import type { StepContext } from "./context.ts";
import { bindHandle, cleanHandle, plugHandle, unplugHandle } from "./handles.ts";
import { fetchImage, verifyImage } from "./image.ts";
import { programImage, scrubDeployable } from "./operate.ts";
import { readBack } from "./read-back.ts";

/** A step without an executor does not compile. */
type Executors = {
  readonly [Kind in StepKind]: (step: StepOf<Kind>, context: StepContext) => Promise<void>;
};

const executors: Executors = {
  fetch: fetchImage,
  verify: verifyImage,
  unplug: unplugHandle,
  program: programImage,
  "read-back": readBack,
  bind: bindHandle,
  plug: plugHandle,
  scrub: scrubDeployable,
  "clean-handle": cleanHandle,
  repair,
  settle,
};

/** Runs one step. Throws Fault, or Superseded when a newer wish came before the touch. */
export function execute<Kind extends StepKind>(
  step: StepOf<Kind>,
  context: StepContext,
): Promise<void> {
  const executor: (step: StepOf<Kind>, context: StepContext) => Promise<void> =
    executors[step.kind];
  return executor(step, context);
}

/** Tried once; one that a full disk held back did not touch the card and was no try. */
async function repair(_: StepOf<"repair">, { site, place, equipment }: StepContext): Promise<void> {
  site.repaired = true;
  try {
    await equipment.driver.repair?.(place);
  } catch (error) {
    site.repaired = !isFault(error, "DISK_FULL");
    throw error;
  }
}

async function settle({ generation }: StepOf<"settle">, { site }: StepContext): Promise<void> {
  await site.changeMarks((marks) => {
    if (marks.work?.generation !== generation) return marks;
    const { error: _, ...work } = marks.work;
    return { ...marks, work: { ...work, outcome: "ready" } };
  });
  site.verified = undefined;
}
