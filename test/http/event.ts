import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { type Problem, problem } from "#protocol/http/common";
import type { Route } from "#protocol/http/route";
import { type OperationId, routes } from "#protocol/http/routes";
import type { Handler } from "../../functions/entry.ts";
import type { HttpEvent } from "../../functions/http/call.ts";
import type { HttpResult } from "../../functions/http/problem.ts";

/** Who asks and what; the caller is a member of project `p1` unless said otherwise. */
export interface Request {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Sent as it is, whatever it is. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly project?: string;
  readonly roles?: string;
  /** Idempotency key. */
  readonly key?: string;
}

/** A function as API Gateway calls it. */
export type HttpFunction = Handler<unknown, HttpResult>;

const routeOf = (operation: OperationId): Route => routes[operation];

/** The event API Gateway makes of a request: HTTP API, payload format 2.0. */
export function httpEvent(operation: OperationId, request: Request = {}): HttpEvent {
  const { method, path: pattern } = routeOf(operation);
  const { path = {}, query, body, text, project = "p1", roles = "member" } = request;
  const rawPath = pattern.replaceAll(/\{(\w+)\}/g, (_, name: string) => path[name] ?? "");
  const content = text ?? (body === undefined ? undefined : JSON.stringify(body));
  return {
    version: "2.0",
    routeKey: `${method} ${pattern}`,
    rawPath,
    rawQueryString: new URLSearchParams(query).toString(),
    headers: headersOf(request, content !== undefined),
    queryStringParameters: query && { ...query },
    pathParameters: { ...path },
    body: content,
    isBase64Encoded: false,
    requestContext: {
      ...place,
      authorizer: { lambda: { project, user: "u1", roles } },
      http: { method, path: rawPath, protocol: "HTTP/1.1", sourceIp: "127.0.0.1", userAgent: "" },
      requestId: randomUUID(),
      routeKey: `${method} ${pattern}`,
    },
  } as HttpEvent;
}

const place = {
  accountId: "000000000000",
  apiId: "gatehouse",
  domainName: "127.0.0.1",
  domainPrefix: "127",
  stage: "$default",
  time: "01/Jan/2026:00:00:00 +0000",
  timeEpoch: 0,
};

function headersOf({ key, headers }: Request, hasBody: boolean): Record<string, string> {
  return {
    ...(hasBody ? { "content-type": "application/json" } : {}),
    ...(key === undefined ? {} : { "idempotency-key": key }),
    ...headers,
  };
}

/** What the function answers, whatever it is. */
export async function send(
  served: HttpFunction,
  operation: OperationId,
  request?: Request,
): Promise<HttpResult> {
  return await served(httpEvent(operation, request), {} as never);
}

/**
 * Asks for something that must succeed. The answer has the route's status and is exactly what its
 * schema says: nothing is missing and nothing undeclared leaks.
 */
export async function ask<Body>(
  served: HttpFunction,
  operation: OperationId,
  request?: Request,
): Promise<Body> {
  const { status, answer } = routeOf(operation);
  const result = await send(served, operation, request);
  expect({ status: result.statusCode, body: result.body }).toMatchObject({ status });
  const body: unknown = JSON.parse(result.body);
  if (answer !== undefined) expect(answer.parse(body)).toEqual(body);
  return body as Body;
}

/** Asks for something that must be refused with a problem document. */
export async function refused(
  served: HttpFunction,
  operation: OperationId,
  request?: Request,
): Promise<Problem> {
  const result = await send(served, operation, request);
  expect(result.headers["content-type"]).toBe("application/problem+json");
  const body = problem.parse(JSON.parse(result.body));
  expect(body.status).toBe(result.statusCode);
  return body;
}

/** Every entry of a list, `limit` at a time; no page is longer and none but the last is empty. */
export async function walk<Entry>(
  served: HttpFunction,
  operation: OperationId,
  request: Request & { readonly limit: number },
): Promise<readonly Entry[]> {
  const found: Entry[] = [];
  let after: string | undefined;
  for (let pages = 0; pages < 100; pages += 1) {
    const query = {
      ...request.query,
      limit: String(request.limit),
      ...(after === undefined ? {} : { after }),
    };
    const page = await ask<{ items: Entry[]; next?: string }>(served, operation, {
      ...request,
      query,
    });
    expect(page.items.length).toBeLessThanOrEqual(request.limit);
    found.push(...page.items);
    if (page.next === undefined) return found;
    after = page.next;
  }
  throw new Error("the list does not end");
}
