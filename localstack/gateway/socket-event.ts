import { randomBytes, randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { clfTime, queryParameters, requestId } from "./http-event.ts";
import type { Place } from "./invoke.ts";

/** What is known of one connection. Times in milliseconds. */
export interface ConnectionInfo {
  readonly id: string;
  readonly connectedAt: number;
  readonly lastActiveAt: number;
  readonly sourceIp: string;
  readonly userAgent: string;
}

/** The parts of a connection that events repeat. */
export interface ConnectionFacts extends Omit<ConnectionInfo, "lastActiveAt"> {
  readonly domainName: string;
}

type EventType = "CONNECT" | "MESSAGE" | "DISCONNECT";

/** Connection ids look like API Gateway's: 15 characters and a final `=`. */
function connectionId(): string {
  return `${randomBytes(11).toString("base64url")}=`;
}

/** Facts of a new connection from its upgrade request. */
export function connectionFacts(request: IncomingMessage, now: number): ConnectionFacts {
  return {
    id: connectionId(),
    connectedAt: now,
    sourceIp: (request.socket.remoteAddress ?? "127.0.0.1").replace(/^::ffff:/, ""),
    userAgent: request.headers["user-agent"] ?? "",
    domainName: request.headers.host ?? "127.0.0.1",
  };
}

/** A WebSocket event's `requestContext`, with the additions of its type in `more`. */
function contextOf(
  facts: ConnectionFacts,
  place: Place,
  now: number,
  more: Readonly<Record<string, unknown>> & { readonly eventType: EventType },
): Record<string, unknown> {
  return {
    ...more,
    extendedRequestId: requestId(),
    requestId: requestId(),
    requestTime: clfTime(now),
    requestTimeEpoch: now,
    messageDirection: "IN",
    stage: place.stage,
    connectedAt: facts.connectedAt,
    identity: { sourceIp: facts.sourceIp, userAgent: facts.userAgent },
    domainName: facts.domainName,
    connectionId: facts.id,
    apiId: place.apiId,
  };
}

/** The `$connect` event: headers in the case they were sent, and all values of each. */
export function connectEvent(
  request: IncomingMessage,
  facts: ConnectionFacts,
  place: Place,
): Record<string, unknown> {
  const headers: Record<string, string> = {};
  const multiValueHeaders: Record<string, string[]> = {};
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index] ?? "";
    const value = request.rawHeaders[index + 1] ?? "";
    headers[name] = value;
    multiValueHeaders[name] = [...(multiValueHeaders[name] ?? []), value];
  }
  const query = new URL(request.url ?? "/", "ws://offline").searchParams;
  const parameters = queryParameters(query.toString());
  return {
    headers,
    multiValueHeaders,
    ...(parameters !== undefined && {
      queryStringParameters: Object.fromEntries(query),
      multiValueQueryStringParameters: Object.fromEntries(
        [...new Set(query.keys())].map((name) => [name, query.getAll(name)]),
      ),
    }),
    requestContext: contextOf(facts, place, facts.connectedAt, {
      routeKey: "$connect",
      eventType: "CONNECT",
    }),
    isBase64Encoded: false,
  };
}

/** A `$default` event; a binary message arrives as base64. */
export function messageEvent(
  facts: ConnectionFacts,
  place: Place,
  now: number,
  message: { readonly data: Buffer; readonly binary: boolean },
): Record<string, unknown> {
  const { data, binary } = message;
  return {
    requestContext: contextOf(facts, place, now, {
      routeKey: "$default",
      eventType: "MESSAGE",
      messageId: randomUUID(),
    }),
    body: data.toString(binary ? "base64" : "utf8"),
    isBase64Encoded: binary,
  };
}

/** The `$disconnect` event with the close code and reason seen. */
export function disconnectEvent(
  facts: ConnectionFacts,
  place: Place,
  now: number,
  end: { readonly code: number; readonly reason: string },
): Record<string, unknown> {
  return {
    headers: { Host: facts.domainName, "X-Forwarded-For": facts.sourceIp },
    multiValueHeaders: { Host: [facts.domainName], "X-Forwarded-For": [facts.sourceIp] },
    requestContext: contextOf(facts, place, now, {
      routeKey: "$disconnect",
      eventType: "DISCONNECT",
      disconnectStatusCode: end.code,
      disconnectReason: end.reason,
    }),
    isBase64Encoded: false,
  };
}
