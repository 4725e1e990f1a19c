import { claimRoutes } from "#protocol/http/claim-routes";
import { deployableRoutes } from "#protocol/http/deployable-routes";
import { hostRoutes } from "#protocol/http/host-routes";
import type { Route } from "#protocol/http/route";
import type { HttpEvent } from "../../functions/http/call.ts";

const routes = { ...claimRoutes, ...deployableRoutes, ...hostRoutes };

/** The operations that clients and operators of a run ask for. */
export type Operation = keyof typeof routes;

/** Who asks for what, after the authorizer. */
export interface Request {
  readonly project: string;
  readonly roles: "reader" | "member" | "admin";
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
  /** Idempotency key. */
  readonly key?: string;
}

/** The event that API Gateway would make of it (HTTP API, payload format 2.0). */
export function eventOf(operation: Operation, request: Request, id: string): HttpEvent {
  const { method, path: pattern }: Route = routes[operation];
  const { project, roles, path = {}, query, body, key } = request;
  return {
    routeKey: `${method} ${pattern}`,
    rawPath: pattern,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(key === undefined ? {} : { "idempotency-key": key }),
    },
    pathParameters: { ...path },
    queryStringParameters: query && { ...query },
    body: body === undefined ? undefined : JSON.stringify(body),
    requestContext: {
      authorizer: { lambda: { project, user: `user of ${project}`, roles } },
      requestId: id,
    },
  } as unknown as HttpEvent;
}
