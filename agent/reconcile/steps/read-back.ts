import { Fault } from "#domain/faults";
import { chainStart, type Receipt, receiptDigest, signReceipt } from "#protocol/wire/receipt";
import type { Observation } from "../../drivers/driver.ts";
import type { Operation } from "../../memory/journal.ts";
import type { DeployableMarks } from "../../memory/marks.ts";
import { without } from "../../memory/without.ts";
import type { StepOf } from "../step.ts";
import { type StepContext, wallNow } from "./context.ts";

/**
 * Asks the card what became of the operation and writes result, receipt and proofs in one go, so that
 * a crash leaves either all of them or none.
 */
export async function readBack(step: StepOf<"read-back">, context: StepContext): Promise<void> {
  const { site, place, equipment } = context;
  const { operation } = step;
  const seen = await equipment.driver.observe(place);
  requireResult(operation, seen);
  site.observation = seen;
  const at = wallNow(context);
  await site.changeMarks((marks) => {
    const body = receiptBody(context, marks, operation, at);
    const receipt = signReceipt(body, equipment.key);
    return withResult(withReceipt(marks, receipt), operation, context);
  });
  site.verified = undefined;
  await site.changeJournal((journal) => without(journal, "operation"));
}

function requireResult(
  { kind, image, method }: Operation,
  { loaded, health, opaque }: Observation,
): void {
  if (opaque === true)
    throw new Fault("IN_USE", "the card cannot be read back while a guest has it");
  if (kind === "program" && loaded.functionId !== image?.functionId) {
    throw new Fault("READ_BACK_MISMATCH", `the card says ${loaded.functionId ?? "blank"}`, {
      expected: image?.functionId ?? "",
    });
  }
  requireBlank(method, loaded);
  if (kind === "scrub" && health.state !== "ok" && health.state !== "unmonitored") {
    throw new Fault("SCRUB_FAILED", `after the scrub the card is ${health.state}`);
  }
}

/** A card that took the blank image and shows something else may still have the tenant's data. */
function requireBlank(method: Operation["method"], { functionId }: Observation["loaded"]): void {
  if (method !== "erase" || functionId === null) return;
  const message = `after the erase the card says ${functionId}`;
  throw new Fault("READ_BACK_MISMATCH", message, { expected: "blank" });
}

function receiptBody(
  { site }: StepContext,
  marks: DeployableMarks,
  operation: Operation,
  at: number,
): Receipt["body"] {
  const { number, digest } = marks.chain;
  return {
    deployable: site.id,
    number: number + 1,
    previous: number === 0 ? chainStart : digest,
    kind: operation.kind,
    imageGeneration: operation.generation,
    ...(operation.image === undefined ? {} : { sha256: operation.image.sha256 }),
    functionId: site.observation?.loaded.functionId ?? null,
    fences: marks.fences,
    bootId: site.bootId,
    at,
  };
}

function withReceipt(marks: DeployableMarks, receipt: Receipt): DeployableMarks {
  return {
    ...marks,
    chain: { number: receipt.body.number, digest: receiptDigest(receipt.body) },
    receipts: [...marks.receipts, receipt],
  };
}

function withResult(
  marks: DeployableMarks,
  operation: Operation,
  { site, place }: StepContext,
): DeployableMarks {
  const { bootId } = site;
  const work = workAfter(marks, operation, bootId);
  const { image } = operation;
  const scrubbedHere = work?.scrubbed === bootId && work.generation === operation.generation;
  const clean = { bootId, functionId: site.observation?.loaded.functionId ?? null };
  const handles = place.deployable.handles.map(({ name }) => name);
  return {
    ...marks,
    ...(work === undefined ? {} : { work }),
    lastOperation: operation.id,
    ...(scrubbedHere ? { clean } : {}),
    ...(image === undefined
      ? { handleClean: provenClean(handles, marks, bootId) }
      : {
          loaded: {
            bootId,
            functionId: image.functionId,
            imageId: image.id,
            sha256: image.sha256,
          },
        }),
  };
}

/** A result of a generation that is not the newest any more counts for nothing but its receipt. */
function workAfter(
  { work }: DeployableMarks,
  operation: Operation,
  bootId: string,
): DeployableMarks["work"] {
  if (work === undefined || work.generation !== operation.generation) return work;
  const rest = without(work, "error");
  return operation.kind === "scrub"
    ? { ...rest, scrubbed: bootId }
    : { ...rest, programmed: operation.id, ...(work.outcome === "ready" ? { tries: 0 } : {}) };
}

function provenClean(
  handles: readonly string[],
  { fences }: DeployableMarks,
  bootId: string,
): DeployableMarks["handleClean"] {
  return Object.fromEntries(handles.map((name) => [name, { bootId, fence: fences[name] ?? 0 }]));
}
