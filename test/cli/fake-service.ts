import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { type FaultCode, faults } from "#domain/faults";
import type { Route } from "#protocol/http/route";
import { type OperationId, routes } from "#protocol/http/routes";
import { samples } from "./samples.ts";

/** A request as it arrived. `body` is parsed JSON. */
interface Received {
  readonly operation: OperationId | "bucket" | "unknown";
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
  readonly bytes: Buffer;
}

/** What the service says instead of the sample. */
export interface Reply {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly json?: unknown;
  readonly text?: string;
  /** Break the connection without an answer. */
  readonly hangUp?: true;
}

type Handler = (request: Received, count: number) => Reply;

export interface FakeService {
  readonly url: string;
  readonly received: Received[];
  /** What the command line sent or the test answered against the schemas; must stay empty. */
  readonly violations: string[];
  on(operation: Received["operation"], handler: Handler): void;
  reset(): void;
  close(): Promise<void>;
}

/** The problem document of a fault. */
export function problem(code: FaultCode, detail: string, facts: object = {}): Reply {
  const { status, title } = faults[code];
  const json = { type: "about:blank", title, status, code, detail, ...facts };
  return { status, json, headers: { "content-type": "application/problem+json" } };
}

/** A service built from the route table: it takes only what the schemas take. */
export async function startFakeService(): Promise<FakeService> {
  const handlers = new Map<string, Handler>();
  const received: Received[] = [];
  const violations: string[] = [];
  const server = createServer((message, response) => {
    answer(message, response).catch((error: unknown) => {
      violations.push(String(error));
      response.destroy();
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;

  async function answer(message: IncomingMessage, response: ServerResponse) {
    const request = await receive(message);
    received.push(request);
    const count = received.filter((one) => one.operation === request.operation).length;
    violations.push(...requestViolations(request, message.method ?? ""));
    const reply = handlers.get(request.operation)?.(request, count) ?? sample(request);
    if (reply.hangUp === true) {
      message.socket.destroy();
      return;
    }
    const status = reply.status ?? routeOf(request)?.status ?? 200;
    violations.push(...answerViolations(request, reply, status));
    response.writeHead(status, { "content-type": "application/json", ...reply.headers });
    response.end(reply.text ?? JSON.stringify(reply.json));
  }

  return {
    url: `http://127.0.0.1:${port}`,
    received,
    violations,
    on: (operation, handler) => handlers.set(operation, handler),
    reset() {
      handlers.clear();
      received.length = 0;
      violations.length = 0;
    },
    close: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}

function routeOf(request: Received): Route | undefined {
  const { operation } = request;
  return operation === "bucket" || operation === "unknown" ? undefined : routes[operation];
}

function sample({ operation }: Received): Reply {
  if (operation === "bucket") return { status: 200, text: "" };
  if (operation === "unknown" || operation === "join" || operation === "exchange") {
    return problem("UNKNOWN_ROUTE", "no such route");
  }
  return { json: samples[operation] };
}

async function receive(message: IncomingMessage): Promise<Received> {
  const url = new URL(message.url ?? "/", "http://fake");
  const bytes = await buffer(message);
  const found = url.pathname.startsWith("/bucket/")
    ? { operation: "bucket" as const, params: {} }
    : match(message.method ?? "", url.pathname);
  const isJson = message.headers["content-type"] === "application/json";
  return {
    ...found,
    query: Object.fromEntries(url.searchParams),
    headers: message.headers,
    body: isJson ? (JSON.parse(bytes.toString()) as unknown) : undefined,
    bytes,
  };
}

/** The most literal route that fits, as a router does. */
function match(method: string, path: string): Pick<Received, "operation" | "params"> {
  const parts = path.split("/").map(decodeURIComponent);
  const fitting = (Object.entries(routes) as [OperationId, Route][]).filter(([, route]) => {
    const wanted = route.path.split("/");
    return (
      route.method === method &&
      wanted.length === parts.length &&
      wanted.every((part, index) => part.startsWith("{") || part === parts[index])
    );
  });
  const literal = fitting.toSorted((a, b) => braces(a[1]) - braces(b[1]))[0];
  if (literal === undefined) return { operation: "unknown", params: {} };
  const names = literal[1].path.split("/").map((part) => part.replace(/[{}]/g, ""));
  const params = names.flatMap((name, index): [string, string][] =>
    literal[1].path.split("/")[index]?.startsWith("{") === true ? [[name, parts[index] ?? ""]] : [],
  );
  return { operation: literal[0], params: Object.fromEntries(params) };
}

function braces(route: Route): number {
  return route.path.split("{").length;
}

/** A reply of `text` is meant to be wrong, so it is not judged. */
function answerViolations(request: Received, reply: Reply, status: number): string[] {
  const schema = routeOf(request)?.answer;
  if (status >= 300 || schema === undefined || reply.text !== undefined) return [];
  const parsed = schema.safeParse(reply.json);
  return parsed.success ? [] : [`answer of ${request.operation}: ${parsed.error.message}`];
}

function requestViolations(request: Received, method: string): string[] {
  const route = routeOf(request);
  if (route === undefined) return request.operation === "bucket" ? [] : [`no route: ${method}`];
  const found: string[] = [];
  const judge = (what: string, parsed: { success: boolean; error?: { message: string } }) => {
    if (!parsed.success) found.push(`${what} of ${request.operation}: ${parsed.error?.message}`);
  };
  if (route.body !== undefined) judge("body", route.body.safeParse(request.body));
  else if (request.bytes.length > 0) found.push(`${request.operation} takes no body`);
  if (route.query !== undefined) judge("query", route.query.safeParse(request.query));
  else if (Object.keys(request.query).length > 0) found.push(`${request.operation} takes no query`);
  const hasKey = request.headers["idempotency-key"] !== undefined;
  if (hasKey !== (method !== "GET")) found.push(`idempotency key of ${request.operation}`);
  return found;
}
