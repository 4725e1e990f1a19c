import { createHash } from "node:crypto";
import type { APIGatewayProxyEventV2WithLambdaAuthorizer } from "aws-lambda";
import type * as z from "zod/mini";
import { Fault } from "#domain/faults";
import { type Canonical, canonicalJson } from "#protocol/canonical";
import type { Role, Route } from "#protocol/http/route";
import { uuidOf } from "#protocol/uuid";
import type { Once } from "#store/idempotency";

/** Who calls, as the authorizer found out. */
export interface Caller {
  readonly project: string;
  readonly user: string;
  readonly roles: readonly string[];
  readonly isAdmin: boolean;
}

/** What the authorizer hands on; Lambda contexts hold text only. */
export interface CallerContext {
  readonly project?: string;
  readonly user?: string;
  readonly roles?: string;
}

export type HttpEvent = APIGatewayProxyEventV2WithLambdaAuthorizer<CallerContext>;

/** One request after identity, policy and schemas; `body` and `query` are what the route says. */
export interface Call<Body = unknown, Query = unknown> {
  readonly caller: Caller;
  readonly path: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Makes a write happen once; a caller that sends no key gets one per request. */
  readonly once: Once;
}

/** A route's answer; without `status` the route's own. */
export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** Keystone's manager runs a project, which nothing here asks for: it is a member. */
const rankOf: Readonly<Record<string, number>> = { reader: 1, member: 2, manager: 2, admin: 3 };

/** The caller the authorizer named; nobody on public and agent routes. */
export function callerOf(event: HttpEvent): Caller {
  const context: CallerContext = event.requestContext.authorizer?.lambda ?? {};
  const roles = (context.roles ?? "").split(",").filter((role) => role !== "");
  return {
    project: context.project ?? "",
    user: context.user ?? "",
    roles,
    isAdmin: roles.includes("admin"),
  };
}

/** The policy table's one rule: the route's role or a higher one. FORBIDDEN. */
export function checkRole(caller: Caller, role: Role): void {
  if (role === "public" || role === "agent") return;
  if (!hasRole(caller, role)) {
    throw new Fault("FORBIDDEN", `this needs the role ${role}`, { expected: role });
  }
}

/** True for the role or a higher one. */
export function hasRole(caller: Caller, role: Role): boolean {
  const rank = Math.max(0, ...caller.roles.map((one) => rankOf[one] ?? 0));
  return rank >= (rankOf[role] ?? Number.POSITIVE_INFINITY);
}

/** Builds the call of a request. INVALID_REQUEST names the field and what was expected. */
export function callOf(event: HttpEvent, operation: string, route: Route): Call {
  const caller = callerOf(event);
  checkRole(caller, route.role);
  const body = check(route.body, bodyOf(event), "");
  const query = check(route.query, event.queryStringParameters ?? {}, "");
  const path = pathOf(event);
  return {
    caller,
    path,
    query,
    body,
    headers: event.headers,
    once: onceOf(event, { caller, operation, path, body }),
  };
}

/** No name and no id is longer; what is could not even be a key of the table. */
const maxPathPart = 256;

function pathOf(event: HttpEvent): Readonly<Record<string, string>> {
  const parts = Object.entries(event.pathParameters ?? {});
  const long = parts.find(([, value = ""]) => value.length > maxPathPart);
  if (long !== undefined) {
    const [field] = long;
    const expected = `at most ${maxPathPart} characters`;
    throw new Fault("INVALID_REQUEST", `${field}: expected ${expected}`, { field, expected });
  }
  return Object.fromEntries(parts.map(([name, value]) => [name, value ?? ""]));
}

/** A POST without a body is an empty object: every member of such a body is optional. */
function bodyOf(event: HttpEvent): unknown {
  const body: unknown = event.body;
  if (typeof body === "string" && body !== "") {
    throw new Fault("INVALID_REQUEST", "body: expected content-type application/json", {
      field: "body",
      expected: "content-type application/json",
    });
  }
  return body === undefined || body === null || body === "" ? {} : body;
}

function check(schema: z.ZodMiniType | undefined, value: unknown, prefix: string): unknown {
  if (schema === undefined) return undefined;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const unknown = issue?.code === "unrecognized_keys" ? (issue.keys[0] ?? "") : "";
  const field = [prefix, ...(issue?.path ?? []).map(String), unknown]
    .filter((part) => part !== "")
    .join(".");
  const expected = unknown === "" ? (issue?.message ?? "another value") : "no such member";
  throw new Fault("INVALID_REQUEST", `${field || "body"}: ${expected}`, { field, expected });
}

function onceOf(
  event: HttpEvent,
  request: {
    readonly caller: Caller;
    readonly operation: string;
    readonly path: object;
    readonly body: unknown;
  },
): Once {
  const key = event.headers["idempotency-key"];
  if (key !== undefined && (key.length < 1 || key.length > 255)) {
    throw new Fault("INVALID_REQUEST", "Idempotency-Key: expected 1 to 255 characters", {
      field: "Idempotency-Key",
      expected: "1 to 255 characters",
    });
  }
  const { caller, operation, path, body } = request;
  return {
    id: uuidOf("once", caller.project, operation, key ?? event.requestContext.requestId),
    body: createHash("sha256")
      .update(canonical({ path, body: body ?? null }))
      .digest("hex"),
  };
}

/** INVALID_REQUEST for what a schema lets through unseen, such as 1e999 or a million brackets. */
function canonical(content: object): string {
  try {
    return canonicalJson(content as unknown as Canonical);
  } catch (cause) {
    const expected = "whole numbers and few levels";
    const detail = { field: "body", expected };
    throw new Fault("INVALID_REQUEST", `body: expected ${expected}`, detail, { cause });
  }
}
