import { Fault, type FaultDetail, faults, isFault } from "#domain/faults";
import type { Problem } from "#protocol/http/common";

/** An HTTP answer of a function, payload format 2.0. */
export interface HttpResult {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** RFC 9457 problem document of a failure; what is no Fault shows nothing of itself. */
export function problemOf(error: unknown, instance: string): HttpResult {
  const fault = faultOf(error);
  const { status, title } = faults[fault.code];
  const { retryAfterSeconds, ...facts }: FaultDetail = fault.detail;
  const problem: Problem = {
    type: `https://gatehouse.dev/faults/${fault.code}`,
    title,
    status,
    code: fault.code,
    detail: fault.message,
    instance,
    ...facts,
  };
  return {
    statusCode: status,
    headers: {
      "content-type": "application/problem+json",
      ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) }),
    },
    body: JSON.stringify(problem),
  };
}

/** True for what the caller can neither help nor should see: it belongs into the log. */
export function isDefect(error: unknown): boolean {
  return faultOf(error).code === "INTERNAL";
}

/** Errors of the body parser carry an HTTP status; everything else unexpected is INTERNAL. */
function faultOf(error: unknown): Fault {
  // What the table says of a request it refuses names accounts, roles and keys.
  if (isFault(error)) return error.code === "INTERNAL" ? new Fault("INTERNAL") : error;
  const status =
    typeof error === "object" && error !== null && "statusCode" in error
      ? error.statusCode
      : undefined;
  if (status === 415 || status === 422) {
    return new Fault(
      "INVALID_REQUEST",
      "the body must be JSON with content-type application/json",
      {
        field: "body",
        expected: "JSON",
      },
    );
  }
  return new Fault("INTERNAL");
}
