import type { IncomingMessage, ServerResponse } from "node:http";
import type { Connection } from "./connection.ts";
import { readBody } from "./http-api.ts";
import { largestMessage } from "./socket-api.ts";

function answer(response: ServerResponse, status: number, body?: unknown): void {
  if (!response.req.complete) response.setHeader("connection", "close");
  const text = body === undefined ? "" : JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json" }).end(text);
}

function fail(response: ServerResponse, status: number, type: string): void {
  response.setHeader("x-amzn-errortype", type);
  answer(response, status, { message: type });
}

async function post(
  request: IncomingMessage,
  response: ServerResponse,
  connection: Connection,
): Promise<void> {
  const data = await readBody(request, largestMessage);
  if (data === undefined) return fail(response, 413, "PayloadTooLargeException");
  if (!connection.isOpen()) return fail(response, 410, "GoneException");
  try {
    await connection.send(data);
    answer(response, 200);
  } catch {
    fail(response, 410, "GoneException");
  }
}

function describe(response: ServerResponse, connection: Connection): void {
  const { connectedAt, lastActiveAt, sourceIp, userAgent } = connection.info();
  answer(response, 200, {
    connectedAt: new Date(connectedAt).toISOString(),
    lastActiveAt: new Date(lastActiveAt).toISOString(),
    identity: { sourceIp, userAgent },
  });
}

/**
 * The `@connections` API (`/@connections/{id}` and `/{stage}/@connections/{id}`): POST sends, GET
 * describes, DELETE closes. An unknown connection, also one still in `$connect`, is 410
 * GoneException; more than 128 KB is 413 PayloadTooLargeException. Signatures are not checked.
 * Resolves to false when the path is not of this API.
 */
export async function manageConnections(
  request: IncomingMessage,
  response: ServerResponse,
  connections: ReadonlyMap<string, Connection>,
): Promise<boolean> {
  const match = /^(?:\/[^/]+)?\/(?:@|%40)connections\/([^/?]+)$/.exec(request.url ?? "");
  if (match?.[1] === undefined) return false;
  const connection = connections.get(decodeURIComponent(match[1]));
  if (connection === undefined || !connection.isOpen()) fail(response, 410, "GoneException");
  else if (request.method === "POST") await post(request, response, connection);
  else if (request.method === "GET") describe(response, connection);
  else if (request.method === "DELETE") {
    connection.close(1000, "Connection Closed Normally");
    answer(response, 204);
  } else fail(response, 405, "MethodNotAllowedException");
  return true;
}
