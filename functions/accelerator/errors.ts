import { Fault, type FaultCode, faults, isFault } from "#domain/faults";

/** An answer before it has the headers that every answer has. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON; absent = an empty body. */
  readonly body?: unknown;
}

const codes: Readonly<Record<number, FaultCode>> = {
  400: "INVALID_REQUEST",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  409: "CONFLICT",
};

/**
 * A refusal in Cyborg's words. `status` may be one that no code of the table has: 406, 415, 423, and
 * the 500 that its test suite insists on (cyborg.md §10.1).
 */
export function refusal(status: number, faultstring: string): Fault {
  return new Fault(codes[status] ?? "INVALID_REQUEST", faultstring, { status });
}

/** 404 for a thing of this kind, such as `Device not found with uuid=…`. */
export function notFound(kind: string, value: string, by = "uuid"): Fault {
  return refusal(404, `${kind} not found with ${by}=${value}`);
}

/** Cyborg's error body: JSON text inside JSON (cyborg.md §1.1). */
function faultBody(status: number, faultstring: string): object {
  const faultcode = status >= 500 ? "Server" : "Client";
  return { error_message: JSON.stringify({ faultcode, faultstring, debuginfo: null }) };
}

/** An error page inside JSON, as routing errors have it. */
export function pageReply(status: number, title: string, text: string): Reply {
  const page = `<html>\n <head>\n  <title>${status} ${title}</title>\n </head>\n <body>\n  <h1>${status} ${title}</h1>\n  ${text}\n </body>\n</html>`;
  return { status, body: { error_message: page } };
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

/** Text that came from a caller, for a page. */
export function escaped(text: string): string {
  return text.replaceAll(/[&<>]/g, (character) => entities[character] ?? "");
}

/** 406 with the reason, the content type that was asked for and Cyborg's sentence. */
export function notAcceptable(reason: string, accept = "*/*"): Reply {
  const why = `The resource could not be generated that was acceptable to your browser\n(content of type ${escaped(accept)}. <br /><br />\n${escaped(reason)}`;
  return pageReply(406, "Not Acceptable", why);
}

/** 404 for a path that nothing is served at. */
export function noSuchPath(): Reply {
  return pageReply(404, "Not Found", "The resource could not be found.<br /><br />\n\n\n");
}

/** 405 with the methods that the path has. */
export function wrongMethod(allowed: readonly string[]): Reply {
  const told = { code: 405, title: "Method Not Allowed", description: "" };
  return {
    status: 405,
    headers: { allow: allowed.join(", ") },
    body: { error_message: JSON.stringify(told) },
  };
}

/** 401 as Keystone's middleware answers, with where to get a token. */
export function unauthenticated(challenge: string): Reply {
  const message = "The request you have made requires authentication.";
  return {
    status: 401,
    headers: { "www-authenticate": challenge },
    body: { error: { code: 401, title: "Unauthorized", message } },
  };
}

/** 423: an accelerator request of the instance is not resolved yet. */
export function notResolved(): Reply {
  return { status: 423, body: { error_message: "null" } };
}

/** The answer of a failure. What is no expected fault shows nothing of itself but the request's id. */
export function failureReply(error: unknown, requestId: string): Reply {
  const fault = expected(error);
  if (fault === undefined) {
    return { status: 500, body: faultBody(500, `Internal error, request ${requestId}`) };
  }
  const { retryAfterSeconds } = fault.detail;
  const status = statusOf(fault);
  return {
    status,
    ...(retryAfterSeconds === undefined
      ? {}
      : { headers: { "retry-after": String(retryAfterSeconds) } }),
    body: faultBody(status, fault.message),
  };
}

function statusOf({ code, detail }: Fault): number {
  const { status } = detail;
  return typeof status === "number" ? status : faults[code].status;
}

/** The fault that a caller may see; undefined for what belongs into the log and not before a caller. */
export function expected(error: unknown): Fault | undefined {
  return isFault(error) && error.code !== "INTERNAL" ? error : undefined;
}
