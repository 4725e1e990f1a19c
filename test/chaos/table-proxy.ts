import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Failpoints, Fate } from "./failpoints.ts";

/** Calls that change the table; all others only read it. */
const writes = /^(TransactWriteItems|PutItem|UpdateItem|DeleteItem|BatchWriteItem)$/;

/** The endpoint to use instead of the table's, and its end. */
export interface TableProxy {
  readonly url: string;
  readonly close: () => Promise<void>;
}

interface Request {
  readonly operation: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/**
 * Stands between the functions and the table and lets `table.write` and `table.read` fail:
 * `delay:ms`, `throttle`, `conflict` (a transaction meets another), `cut` (never arrives),
 * `ambiguous` (done, but the answer is lost), and two that no table does, to see checks fail: `lose`
 * (answered and not done) and `unconditional`.
 */
export async function startTableProxy(target: string, failpoints: Failpoints): Promise<TableProxy> {
  const server = createServer((request, response) => {
    serve(target, failpoints, { request, response }).catch(() => response.destroy());
  });
  // Idle connections of SDK clients are many and cost nothing; a reset of one is no fault to find.
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function serve(
  target: string,
  failpoints: Failpoints,
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
): Promise<void> {
  const asked = await read(request);
  const fate = failpoints.draw(writes.test(asked.operation) ? "table.write" : "table.read");
  const answer = await answerOf(target, asked, fate);
  if (answer === undefined) response.destroy();
  else response.writeHead(answer.status, { "content-type": "application/x-amz-json-1.0" });
  response.end(answer?.body);
}

async function read(request: IncomingMessage): Promise<Request> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const kept = ["x-amz-target", "content-type", "authorization", "x-amz-date"];
  const headers = kept.flatMap((name) => {
    const value = request.headers[name];
    return typeof value === "string" ? [[name, value] as const] : [];
  });
  return {
    operation: String(request.headers["x-amz-target"]).replace(/^.*\./, ""),
    headers: Object.fromEntries(headers),
    body: Buffer.concat(chunks).toString(),
  };
}

/** What the caller hears; undefined when the connection just ends. */
async function answerOf(
  target: string,
  request: Request,
  fate: Fate | undefined,
): Promise<Answer | undefined> {
  const { action, argument } = fate ?? { action: "none", argument: "" };
  switch (action) {
    case "delay":
      await pause(Number(argument));
      return await forward(target, request);
    case "throttle":
      return fault("ThrottlingException");
    case "conflict":
      return conflictOf(request) ?? (await forward(target, request));
    case "cut":
      return undefined;
    case "ambiguous":
      await forward(target, request);
      return undefined;
    case "lose":
      return { status: 200, body: "{}" };
    case "unconditional":
      return await forward(target, { ...request, body: withoutConditions(request.body) });
    default:
      return await forward(target, request);
  }
}

async function forward(target: string, { headers, body }: Request): Promise<Answer> {
  const response = await fetch(target, { method: "POST", headers, body });
  return { status: response.status, body: await response.text() };
}

function fault(name: string, more: object = {}): Answer {
  const type = `com.amazonaws.dynamodb.v20120810#${name}`;
  return { status: 400, body: JSON.stringify({ __type: type, message: name, ...more }) };
}

function conflictOf({ operation, body }: Request): Answer | undefined {
  if (operation !== "TransactWriteItems") return undefined;
  const { TransactItems } = JSON.parse(body) as { TransactItems: unknown[] };
  const CancellationReasons = TransactItems.map(() => ({ Code: "TransactionConflict" }));
  return fault("TransactionCanceledException", { CancellationReasons });
}

/** Conditions only: what an update itself names must stay. */
function withoutConditions(body: string): string {
  const request = JSON.parse(body) as { TransactItems?: Record<string, object>[] };
  const items = (request.TransactItems ?? []).filter((one) => !("ConditionCheck" in one));
  const bare = items.map((item) => {
    const entries = Object.entries(item).map(([kind, { ...rest }]) => [kind, bareOf(rest)]);
    return Object.fromEntries(entries) as object;
  });
  return JSON.stringify({ ...request, TransactItems: bare });
}

/** DynamoDB refuses names and values that nothing uses, so those of the condition go with it. */
function bareOf(one: Readonly<Record<string, unknown>>): object {
  const { ConditionExpression: _condition, ...rest } = one;
  const used = JSON.stringify(rest["UpdateExpression"] ?? "");
  const keep = (name: string) => {
    const all = Object.entries(rest[name] ?? {});
    const kept = all.filter(([key]) => new RegExp(`${key.replace("#", "\\#")}\\b`).test(used));
    return kept.length === 0 ? {} : { [name]: Object.fromEntries(kept) };
  };
  const { ExpressionAttributeNames: _names, ExpressionAttributeValues: _values, ...plain } = rest;
  return { ...plain, ...keep("ExpressionAttributeNames"), ...keep("ExpressionAttributeValues") };
}
