import type { FaultCode } from "#domain/faults";
import type { WireError } from "#protocol/wire/shapes";
import type { GenerationWork } from "../memory/marks.ts";
import { maxTries } from "./step.ts";

/** Faults that only need time or space: nothing was touched, so no try is counted. */
const passing: ReadonlySet<FaultCode> = new Set<FaultCode>([
  "IN_USE",
  "DISK_FULL",
  "JOURNAL_UNREADABLE",
  "CARD_GONE",
  "TRY_AGAIN",
]);

/** Faults that another try cannot cure, because they are about the image itself. */
const final: ReadonlySet<string> = new Set<FaultCode>([
  "IMAGE_TOO_LARGE",
  "IMAGE_FORMAT_UNKNOWN",
  "IMAGE_HEADER_INVALID",
  "IMAGE_METADATA_MISMATCH",
  "IMAGE_INCOMPATIBLE",
  "SIGNATURE_REQUIRED",
  "SIGNATURE_INVALID",
  "SIGNATURE_EXPIRED",
  "KEY_REVOKED",
]);

/** True when the fault says "later" rather than "no". */
export function isPassing(code: FaultCode): boolean {
  return passing.has(code);
}

/** The generation's work after one more failed try; the last one ends it. */
export function triedWork(work: GenerationWork, error: WireError): GenerationWork {
  const tries = final.has(error.code) ? maxTries : work.tries + 1;
  return { ...work, tries, error, ...(tries >= maxTries ? { outcome: "failed" as const } : {}) };
}
