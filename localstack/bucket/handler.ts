import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { authenticate } from "./authenticate.ts";
import { type S3Error, toS3Error } from "./errors.ts";
import type { Answer } from "./operation.ts";
import { parseRequest } from "./request.ts";
import { routeOf } from "./routes.ts";
import type { BucketStore } from "./store.ts";
import { errorDocument } from "./xml.ts";

/**
 * Answers one S3 request of a node:http server. Never rejects. Pass `acceptBody` when the server
 * has a checkContinue listener of its own: it is called once, when the body is wanted, to send
 * `100 Continue`; a request that is refused before gets its answer instead.
 */
export type BucketHandler = (
  message: IncomingMessage,
  response: ServerResponse,
  acceptBody?: () => void,
) => Promise<void>;

/** The S3 API over an open store, to mount at the path `/` of any node:http server. */
export function bucketHandler(store: BucketStore): BucketHandler {
  return async (message, response, acceptBody) => {
    const id = randomBytes(8).toString("hex").toUpperCase();
    response.setHeader("x-amz-request-id", id);
    response.setHeader("x-amz-id-2", id);
    let accepted = acceptBody === undefined;
    const accept = (): void => {
      if (!accepted) acceptBody?.();
      accepted = true;
    };
    try {
      const request = parseRequest(message, id, accept);
      const authenticated = authenticate(request, store);
      const answer = await routeOf(request)({ request, authenticated, store });
      await send(message, response, answer);
    } catch (error) {
      refuse(message, response, { error, id, accepted });
    } finally {
      // What nobody read would otherwise block the next request of this connection.
      message.resume();
    }
  };
}

async function send(
  message: IncomingMessage,
  response: ServerResponse,
  { status, headers, xml, body }: Answer,
): Promise<void> {
  const text = xml === undefined ? undefined : Buffer.from(xml);
  const length = body?.length ?? text?.length ?? 0;
  const type = text === undefined ? {} : { "content-type": "application/xml" };
  const size = status === 204 ? {} : { "content-length": length };
  response.writeHead(status, { ...type, ...headers, ...size });
  if (body === undefined || message.method === "HEAD") {
    response.end(message.method === "HEAD" ? undefined : text);
    return;
  }
  await pipeline(Readable.from(body.chunks, { objectMode: false }), response);
}

function refuse(
  message: IncomingMessage,
  response: ServerResponse,
  refusal: { error: unknown; id: string; accepted: boolean },
): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const error = toS3Error(refusal.error);
  const text = Buffer.from(errorText(message, error, refusal.id));
  const bare = error.status === 304 || message.method === "HEAD";
  const headers: Record<string, string | number> = { ...error.headers };
  if (!bare) headers["content-length"] = text.length;
  if (error.status !== 304) headers["content-type"] = "application/xml";
  // A client that was never told to send its body may or may not send it: the connection cannot go on.
  if (!refusal.accepted && message.headers.expect !== undefined) headers["connection"] = "close";
  response.writeHead(error.status, headers);
  response.end(bare ? undefined : text);
}

function errorText(message: IncomingMessage, error: S3Error, id: string): string {
  const resource = (message.url ?? "").split("?")[0] ?? "";
  return errorDocument({
    Code: error.code,
    Message: error.message,
    ...error.facts,
    Resource: resource,
    RequestId: id,
    HostId: id,
  });
}
