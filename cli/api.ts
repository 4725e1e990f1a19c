import type * as z from "zod/mini";
import { problem } from "#protocol/http/common";
import type { Route } from "#protocol/http/route";
import { type OperationId, routes } from "#protocol/http/routes";
import { Failure, usage } from "./failure.ts";
import type { Io } from "./io.ts";
import { type Reply, sendWithRetries } from "./retry.ts";
import type { Settings } from "./settings.ts";
import { statusProblem } from "./status-problem.ts";
import { version } from "./version.ts";

type Routes = typeof routes;

/** The answer of an operation, by its schema; unknown members are kept. */
export type Answer<Id extends OperationId> = Routes[Id] extends {
  answer: infer Schema extends z.ZodMiniType;
}
  ? z.output<Schema>
  : unknown;

type Body<Id extends OperationId> = Routes[Id] extends { body: infer Schema extends z.ZodMiniType }
  ? z.input<Schema>
  : undefined;

/** Parts of a request. `params` fill the path's braces; undefined query members are left out. */
export interface Request<Id extends OperationId> {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: Body<Id>;
}

/** The service, one method for every route of the table. */
export interface Api {
  /**
   * Checks the request against its schema, sends it (with retries and an idempotency key) and checks
   * the answer. Throws INVALID_REQUEST, TRY_AGAIN, Failure, Interrupted; a plain Error for an answer
   * that is not what the route promises.
   */
  call<Id extends OperationId>(id: Id, request?: Request<Id>): Promise<Answer<Id>>;
}

/** Makes the client. `key` is the user's idempotency key, if any. */
export function createApi(io: Io, settings: Settings, key: string | undefined): Api {
  return {
    async call<Id extends OperationId>(id: Id, request: Request<Id> = {}): Promise<Answer<Id>> {
      const route: Route = routes[id];
      const url =
        settings.url + pathOf(route, request.params ?? {}) + queryOf(route, request.query);
      const body = bodyOf(route, request.body);
      const headers = headersOf(settings, body !== undefined);
      const idempotencyKey = route.method === "GET" ? undefined : (key ?? io.newKey());
      if (idempotencyKey !== undefined) headers["idempotency-key"] = idempotencyKey;
      const reply = await sendWithRetries(io, {
        url,
        init: () => ({ method: route.method, headers, redirect: "manual", body: body ?? null }),
        timeoutMs: settings.timeout * 1000,
        again:
          idempotencyKey === undefined
            ? ""
            : `it may have been carried out; the same command with --idempotency-key ${idempotencyKey} does it at most once`,
      });
      return readAnswer(id, route, reply) as Answer<Id>;
    },
  };
}

function pathOf(route: Route, params: Readonly<Record<string, string>>): string {
  return route.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = params[name] ?? "";
    // URL parsers resolve dot segments: they would make it another route.
    if (value === "" || value === "." || value === "..") {
      throw usage(`${name}: expected an id or a name`, name, "an id or a name");
    }
    return encodeURIComponent(value);
  });
}

function queryOf(route: Route, query: Request<OperationId>["query"] = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  if (route.query !== undefined) check(route.query, Object.fromEntries(given));
  if (given.length === 0) return "";
  const parameters = new URLSearchParams();
  for (const [name, value] of given) parameters.set(name, String(value));
  return `?${parameters.toString()}`;
}

function bodyOf(route: Route, body: unknown): string | undefined {
  if (route.body === undefined) return undefined;
  check(route.body, body);
  return JSON.stringify(body);
}

function check(schema: z.ZodMiniType, value: unknown): void {
  const parsed = schema.safeParse(value);
  if (parsed.success) return;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  const expected = (issue?.message ?? "another value").replace(/^expected /, "");
  throw usage("The request is not valid", field === "" ? "request" : field, expected);
}

function headersOf(settings: Settings, hasBody: boolean): Record<string, string> {
  const { token, osToken, project, roles } = settings;
  const headers: Record<string, string> = {
    accept: "application/json, application/problem+json",
    "user-agent": `gatehouse-cli/${version}`,
  };
  if (hasBody) headers["content-type"] = "application/json";
  if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
  if (osToken !== undefined) headers["x-auth-token"] = osToken;
  if (token !== undefined || osToken !== undefined) return headers;
  if (project !== undefined) headers["x-project-id"] = project;
  if (roles !== undefined) headers["x-roles"] = roles;
  return headers;
}

function readAnswer(id: OperationId, route: Route, { response, text }: Reply): unknown {
  if (!response.ok) throw problemOf(response, text);
  const value = parseJson(text);
  const parsed = route.answer?.safeParse(value);
  if (parsed === undefined || parsed.success) return value ?? text;
  const issue = parsed.error.issues[0];
  throw new Error(
    `the service's answer to ${id} is not understood (${issue?.path.join(".") || "body"}: ${issue?.message}); is this gatehouse ${version} older than the service?`,
  );
}

function problemOf(response: Response, text: string): Failure {
  const parsed = problem.safeParse(parseJson(text));
  const document = parsed.success ? parsed.data : statusProblem(response);
  return new Failure({ code: document.code, message: document.detail }, document);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
