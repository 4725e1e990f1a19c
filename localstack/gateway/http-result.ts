/** What is written to the client. */
export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly cookies: readonly string[];
  readonly body: Buffer;
}

/** Lambda's limit for a synchronous answer, bytes. */
const largestAnswer = 6_291_556;

/** API Gateway's own answers: `{"message": …}`. */
export function gatewayReply(status: number, message: string): HttpReply {
  return {
    status,
    headers: { "content-type": "application/json" },
    cookies: [],
    body: Buffer.from(JSON.stringify({ message })),
  };
}

const badResult = (): HttpReply => gatewayReply(500, "Internal Server Error");

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function headersFrom(value: unknown): Record<string, string> | undefined {
  if (value === undefined || value === null) return {};
  if (!isRecord(value)) return undefined;
  const headers: Record<string, string> = {};
  for (const [name, item] of Object.entries(value)) {
    if (!["string", "number", "boolean"].includes(typeof item)) continue;
    headers[name.toLowerCase()] = String(item);
  }
  return headers;
}

function explicitReply(result: Record<string, unknown>): HttpReply {
  const status = Number(result["statusCode"]);
  const headers = headersFrom(result["headers"]);
  const body = result["body"] ?? "";
  const cookies = result["cookies"] ?? [];
  const isStatus = Number.isInteger(status) && status >= 200 && status <= 599;
  if (!isStatus || headers === undefined || typeof body !== "string" || !Array.isArray(cookies))
    return badResult();
  const bytes = Buffer.from(body, result["isBase64Encoded"] === true ? "base64" : "utf8");
  return {
    status,
    headers: { "content-type": "text/plain;charset=UTF-8", ...headers },
    cookies: cookies.map(String),
    body: bytes,
  };
}

/**
 * Turns a function's result into an answer as HTTP APIs do with payload format 2.0: an object with
 * `statusCode` is taken at its word, anything else is a 200 with the result as JSON (a string as
 * it is). A malformed or over-long result is a 500.
 */
export function replyOf(result: unknown): HttpReply {
  const reply =
    isRecord(result) && result["statusCode"] !== undefined
      ? explicitReply(result)
      : {
          status: 200,
          headers: { "content-type": "application/json" },
          cookies: [],
          body: Buffer.from(typeof result === "string" ? result : JSON.stringify(result ?? null)),
        };
  return reply.body.length > largestAnswer ? badResult() : reply;
}
