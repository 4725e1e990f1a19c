import type { IncomingMessage, ServerResponse } from "node:http";
import { createAuthorize } from "./authorizer.ts";
import { eventBase, type HttpRequest, httpEvent, readRequest } from "./http-event.ts";
import { gatewayReply, type HttpReply, replyOf } from "./http-result.ts";
import { type Invoker, withDeadline } from "./invoke.ts";
import { createRouter, type RouteMatch } from "./routes.ts";
import type { ServiceModel } from "./service.ts";

/** API Gateway's limit for a request body, bytes. */
const largestBody = 10 * 1024 * 1024;

/** Reads a body; `undefined` when it is longer than `limit` bytes. */
export async function readBody(
  request: IncomingMessage,
  limit: number,
): Promise<Buffer | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > limit) return undefined;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Writes an answer. A body left unread ends the connection, it cannot be skipped. */
export function writeReply(response: ServerResponse, reply: HttpReply, id: string): void {
  if (response.destroyed) return;
  const { status, headers, cookies, body } = reply;
  if (!response.req.complete) response.setHeader("connection", "close");
  if (cookies.length > 0) response.setHeader("set-cookie", [...cookies]);
  const length = status === 204 || status === 304 ? {} : { "content-length": body.length };
  response.writeHead(status, { ...headers, ...length, "apigw-requestid": id });
  response.end(response.req.method === "HEAD" ? undefined : body);
}

class IntegrationTimeout extends Error {
  override readonly name = "IntegrationTimeout";
}

/** What the HTTP side needs; `integrationMs` is 29,000 in AWS. */
export interface HttpApiOptions {
  readonly service: ServiceModel;
  readonly invoker: Invoker;
  readonly now: () => number;
  readonly integrationMs: number;
}

/** Serves one request of the HTTP API; never rejects because of a handler. */
export function createHttpApi(
  options: HttpApiOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { service, invoker, now, integrationMs } = options;
  const route = createRouter(service);
  const authorize = createAuthorize(service, invoker, now);

  const integrate = async (match: RouteMatch, event: unknown): Promise<HttpReply> => {
    try {
      const work = invoker.invoke(match.target, event);
      return replyOf(await withDeadline(work, integrationMs, () => new IntegrationTimeout()));
    } catch (error) {
      return error instanceof IntegrationTimeout
        ? gatewayReply(503, "Service Unavailable")
        : gatewayReply(500, "Internal Server Error");
    }
  };

  const answer = async (raw: IncomingMessage, request: HttpRequest): Promise<HttpReply> => {
    const match = route(request.method, request.path);
    if (match === undefined) return gatewayReply(404, "Not Found");
    const body = await readBody(raw, largestBody);
    if (body === undefined) return gatewayReply(413, "Request Entity Too Large");
    const base = eventBase(request, match, invoker.place);
    const { authorizer } = match.route;
    if (authorizer === undefined)
      return integrate(match, httpEvent(request, base, body, undefined));
    const verdict = await authorize(authorizer, base);
    if (!verdict.allowed) return verdict.reply;
    return integrate(match, httpEvent(request, base, body, verdict.context));
  };

  return async (raw, response) => {
    const request = readRequest(raw, now());
    writeReply(response, await answer(raw, request), request.id);
  };
}
