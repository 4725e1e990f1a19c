import withMiddleware, { type MiddlewareObj } from "@middy/core";
import jsonBodyParser from "@middy/http-json-body-parser";
import type { Context } from "aws-lambda";
import { Fault } from "#domain/faults";
import type { Route } from "#protocol/http/route";
import type { Handler } from "../entry.ts";
import { type Answer, type Call, callOf, type HttpEvent } from "./call.ts";
import { type HttpResult, isDefect, problemOf } from "./problem.ts";

/** A handler as the table holds it: its types are those of its route's schemas. */
export type Handle = (call: never) => Promise<Answer>;

/** Binds a handler to the types of its route's body and query. */
export function handle<Body, Query>(run: (call: Call<Body, Query>) => Promise<Answer>): Handle {
  return run;
}

interface Served {
  readonly operation: string;
  readonly route: Route;
  readonly run: (call: Call) => Promise<Answer>;
}

/**
 * A function that serves some routes of the table: parse → identity and policy → schemas → handler →
 * answer, problem documents for everything that fails. `log` gets what is not an expected fault.
 */
export function httpFunction(
  table: Readonly<Record<string, Route>>,
  handlers: Readonly<Record<string, Handle>>,
  log: (error: unknown) => void = logError,
): Handler<unknown, HttpResult> {
  const served = new Map(
    Object.entries(handlers).map(([operation, run]): [string, Served] => {
      const route = table[operation];
      if (route === undefined) throw new Error(`no route ${operation}`);
      const key = `${route.method} ${route.path}`;
      return [key, { operation, route, run: run as unknown as Served["run"] }];
    }),
  );
  const answer = withMiddleware<HttpEvent, HttpResult>()
    .use(jsonBodyIfAny())
    .handler(async (event: HttpEvent) => await serve(served, event));
  return async (event, context) =>
    await guarded(async (one, two) => await answer(one, two), {
      event: event as HttpEvent,
      context,
      log,
    });
}

/** Many clients name a content type also where they send no body: that is no malformed JSON. */
function jsonBodyIfAny(): MiddlewareObj<HttpEvent, HttpResult> {
  const parser = jsonBodyParser({ disableContentTypeError: true });
  return {
    before: async (request) => {
      const { body } = request.event;
      if (body !== undefined && body !== "") await parser.before?.(request);
    },
  };
}

async function guarded(
  answer: (event: HttpEvent, context: Context) => Promise<HttpResult>,
  call: {
    readonly event: HttpEvent;
    readonly context: Context;
    readonly log: (error: unknown) => void;
  },
): Promise<HttpResult> {
  try {
    return await answer(call.event, call.context);
  } catch (error) {
    if (isDefect(error)) call.log(error);
    return problemOf(error, call.event.rawPath);
  }
}

async function serve(served: ReadonlyMap<string, Served>, event: HttpEvent): Promise<HttpResult> {
  const found = served.get(event.routeKey);
  if (found === undefined) throw new Fault("UNKNOWN_ROUTE", `no route ${event.routeKey}`);
  const { operation, route, run } = found;
  const { status, headers, body } = await run(callOf(event, operation, route));
  return {
    statusCode: status ?? route.status,
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  };
}

function logError(error: unknown): void {
  console.error(JSON.stringify({ level: "error", message: String(error), stack: stackOf(error) }));
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}
