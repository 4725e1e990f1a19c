import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { APIGatewayProxyEventV2 } from "aws-lambda";
import type { Place } from "./invoke.ts";
import type { RouteMatch } from "./routes.ts";

/** A request as read from the wire, before a route is known. */
export interface HttpRequest {
  readonly method: string;
  /** Percent-decoded, as HTTP APIs route it and hand it on as `rawPath`. */
  readonly path: string;
  /** As sent, without the question mark. */
  readonly query: string;
  /** Lower-case names, repeated ones joined by commas, without `cookie`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly cookies: readonly string[];
  readonly sourceIp: string;
  readonly id: string;
  readonly receivedAt: number;
}

const hopByHop = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade", "cookie"]);

function headersOf(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, values] of Object.entries(request.headersDistinct)) {
    if (values !== undefined && !hopByHop.has(name)) headers[name] = values.join(",");
  }
  return headers;
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Request ids look like API Gateway's: 15 base64 characters and a final `=`. */
export function requestId(): string {
  return `${randomBytes(12).toString("base64url").slice(0, 15)}=`;
}

/** Reads everything but the body. `now` is in milliseconds. */
export function readRequest(request: IncomingMessage, now: number): HttpRequest {
  const target = request.url ?? "/";
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const sourceIp = (request.socket.remoteAddress ?? "127.0.0.1").replace(/^::ffff:/, "");
  const forwarded = headersOf(request);
  const before = forwarded["x-forwarded-for"];
  return {
    method: request.method ?? "GET",
    path: decodePath(path),
    query: mark < 0 ? "" : target.slice(mark + 1),
    headers: {
      ...forwarded,
      "x-forwarded-for": before === undefined ? sourceIp : `${before}, ${sourceIp}`,
      "x-forwarded-port": String(request.socket.localPort ?? ""),
      "x-forwarded-proto": "http",
    },
    cookies: (request.headersDistinct["cookie"] ?? []).flatMap((line) => line.split(/;\s*/)),
    sourceIp,
    id: requestId(),
    receivedAt: now,
  };
}

/** Query parameters, decoded; values of a repeated name joined by commas. */
export function queryParameters(query: string): Record<string, string> | undefined {
  const parameters: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(query)) {
    const before = parameters[name];
    parameters[name] = before === undefined ? value : `${before},${value}`;
  }
  return Object.keys(parameters).length === 0 ? undefined : parameters;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** API Gateway's `time`: 12/Mar/2020:19:03:58 +0000. */
export function clfTime(milliseconds: number): string {
  const iso = new Date(milliseconds).toISOString();
  const month = months[Number(iso.slice(5, 7)) - 1] ?? "";
  return `${iso.slice(8, 10)}/${month}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000`;
}

// HTTP APIs hand these over as text and everything else as base64.
const textual =
  /^(?:text\/|application\/(?:json|javascript|xml)\s*(?:;|$)|application\/[\w.+-]+\+(?:json|xml)\s*(?:;|$))/i;

function bodyPart(
  headers: Readonly<Record<string, string>>,
  body: Buffer,
): Pick<APIGatewayProxyEventV2, "body" | "isBase64Encoded"> {
  if (body.length === 0) return { isBase64Encoded: false };
  const isText = textual.test(headers["content-type"] ?? "");
  return { body: body.toString(isText ? "utf8" : "base64"), isBase64Encoded: !isText };
}

/** The parts shared by the function's and the authorizer's event, payload format 2.0. */
export type EventBase = Omit<APIGatewayProxyEventV2, "body" | "isBase64Encoded">;

/** Builds the shared parts of an event. `rawPath` has no stage: offline the stage is `$default`. */
export function eventBase(request: HttpRequest, match: RouteMatch, place: Place): EventBase {
  const domainName = request.headers["host"] ?? "127.0.0.1";
  const query = queryParameters(request.query);
  return {
    version: "2.0",
    routeKey: match.key,
    rawPath: request.path,
    rawQueryString: request.query,
    ...(request.cookies.length > 0 && { cookies: [...request.cookies] }),
    headers: { ...request.headers },
    ...(query !== undefined && { queryStringParameters: query }),
    requestContext: {
      accountId: place.account,
      apiId: place.apiId,
      domainName,
      domainPrefix: domainName.split(".")[0] ?? "",
      http: {
        method: request.method,
        path: request.path,
        protocol: "HTTP/1.1",
        sourceIp: request.sourceIp,
        userAgent: request.headers["user-agent"] ?? "",
      },
      requestId: request.id,
      routeKey: match.key,
      stage: "$default",
      time: clfTime(request.receivedAt),
      timeEpoch: request.receivedAt,
    },
    ...(Object.keys(match.parameters).length > 0 && { pathParameters: { ...match.parameters } }),
  };
}

/** The event a function gets. `authorized` is the authorizer's context, absent on open routes. */
export function httpEvent(
  request: HttpRequest,
  base: EventBase,
  body: Buffer,
  authorized: Readonly<Record<string, unknown>> | undefined,
): APIGatewayProxyEventV2 {
  const requestContext =
    authorized === undefined
      ? base.requestContext
      : { ...base.requestContext, authorizer: { lambda: authorized } };
  return { ...base, requestContext, ...bodyPart(request.headers, body) };
}
