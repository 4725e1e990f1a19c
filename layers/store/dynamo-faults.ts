import {
  ConditionalCheckFailedException,
  TransactionCanceledException,
} from "@aws-sdk/client-dynamodb";
import { Fault, isFault } from "#domain/faults";
import { unmarshalItem } from "#store/marshal";
import type { Failure, WriteResult } from "#store/table";

/** Seconds a caller is asked to wait when the table throttles or does not answer. */
const retryAfterSeconds = 1;

/** Errors with a 4xx status that still mean "not now": throttling and a token under way. */
const throttled = new Set([
  "LimitExceededException",
  "ProvisionedThroughputExceeded",
  "ProvisionedThroughputExceededException",
  "RequestLimitExceeded",
  "ThrottlingError",
  "ThrottlingException",
  "TransactionInProgressException",
]);

/**
 * What a failed write means: a result when DynamoDB refused it for the state of its rows, else a
 * Fault is thrown. A false condition is certain, so it goes before everything else.
 */
export function refusedWrite(error: unknown): WriteResult {
  if (error instanceof TransactionCanceledException) return cancelled(error);
  if (error instanceof ConditionalCheckFailedException) {
    return { ok: false, failures: [conditionFailure(error.Item)] };
  }
  if (nameOf(error) === "TransactionConflictException") {
    return { ok: false, failures: [{ reason: "conflict" }] };
  }
  throw tableFault(error);
}

/** TABLE_UNAVAILABLE when the table may answer later, INTERNAL when the request itself was wrong. */
export function tableFault(error: unknown): Fault {
  if (isFault(error)) return error;
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  const refused = status !== undefined && status >= 400 && status < 500;
  if (refused && !throttled.has(nameOf(error))) {
    return new Fault("INTERNAL", `The table refused: ${messageOf(error)}`, {}, { cause: error });
  }
  return unavailable(messageOf(error), error);
}

/** A TABLE_UNAVAILABLE for the reason given. */
export function unavailable(reason: string, cause?: unknown): Fault {
  const message = `The state table did not answer: ${reason}`;
  return new Fault("TABLE_UNAVAILABLE", message, { retryAfterSeconds }, { cause });
}

function cancelled(error: TransactionCanceledException): WriteResult {
  const reasons = error.CancellationReasons ?? [];
  const failures = reasons.map(({ Code, Item }): Failure | undefined => {
    if (Code === "ConditionalCheckFailed") return conditionFailure(Item);
    return Code === "TransactionConflict" ? { reason: "conflict" } : undefined;
  });
  if (failures.some((failure) => failure !== undefined)) return { ok: false, failures };
  const busy = reasons.find(({ Code }) => throttled.has(Code ?? ""));
  if (busy !== undefined) throw unavailable(String(busy.Code), error);
  const wrong = reasons.find(({ Code }) => Code !== undefined && Code !== "None");
  const message = `The table refused: ${wrong?.Message ?? error.message}`;
  throw new Fault("INTERNAL", message, {}, { cause: error });
}

function conditionFailure(item: Parameters<typeof unmarshalItem>[0] | undefined): Failure {
  if (item === undefined || Object.keys(item).length === 0) return { reason: "condition" };
  return { reason: "condition", item: unmarshalItem(item) };
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
