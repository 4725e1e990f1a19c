import type { EventBase } from "./http-event.ts";
import { gatewayReply, type HttpReply } from "./http-result.ts";
import type { Invoker } from "./invoke.ts";
import type { AuthorizerModel, FunctionModel, ServiceModel } from "./service.ts";

/** Either the authorizer's context for the function, or the gateway's refusal. */
type Verdict =
  | { readonly allowed: true; readonly context: Readonly<Record<string, unknown>> }
  | { readonly allowed: false; readonly reply: HttpReply };

/** Asks the authorizer called `name` about a request. */
export type Authorize = (name: string, base: EventBase) => Promise<Verdict>;

const refuse = (status: number, message: string): Verdict => ({
  allowed: false,
  reply: gatewayReply(status, message),
});

function identityValue(source: string, base: EventBase): string | undefined {
  const [, kind, name] =
    /^\$(request\.header|request\.querystring|context)\.(.+)$/.exec(source) ?? [];
  if (name === undefined) throw new Error(`identity source ${source} is not supported`);
  if (kind === "context") return name === "routeKey" ? base.routeKey : undefined;
  if (kind === "request.header") return base.headers[name.toLowerCase()];
  return base.queryStringParameters?.[name];
}

function verdictOf(result: unknown): Verdict {
  const { isAuthorized, context } = (result ?? {}) as { isAuthorized?: unknown; context?: unknown };
  if (typeof isAuthorized !== "boolean") return refuse(500, "Internal Server Error");
  if (!isAuthorized) return refuse(403, "Forbidden");
  return { allowed: true, context: (context ?? {}) as Record<string, unknown> };
}

/**
 * Lambda REQUEST authorizers of an HTTP API: a missing identity source is 401 without a call,
 * `isAuthorized: false` is 403, an error named "Unauthorized" is 401, any other is 500. Results
 * are kept `ttl` seconds per identity, over all routes, and only where an identity source exists.
 */
export function createAuthorize(
  service: ServiceModel,
  invoker: Invoker,
  now: () => number,
): Authorize {
  const kept = new Map<string, { readonly verdict: Verdict; readonly until: number }>();
  const functions = new Map(service.functions.map((target) => [target.name, target]));

  const find = (name: string): { model: AuthorizerModel; target: FunctionModel } => {
    const model = service.authorizers[name];
    const target = model && functions.get(model.functionName);
    if (model === undefined || target === undefined) throw new Error(`no authorizer ${name}`);
    return { model, target };
  };

  const ask = async (target: FunctionModel, event: unknown): Promise<Verdict> => {
    try {
      return verdictOf(await invoker.invoke(target, event));
    } catch (error) {
      const said = error instanceof Error ? error.message : error;
      return said === "Unauthorized"
        ? refuse(401, "Unauthorized")
        : refuse(500, "Internal Server Error");
    }
  };

  return async (name, base) => {
    const { model, target } = find(name);
    const identity = model.identitySource.map((source) => identityValue(source, base));
    if (identity.some((value) => value === undefined || value === ""))
      return refuse(401, "Unauthorized");
    const key = JSON.stringify([name, ...identity]);
    const known = kept.get(key);
    if (known !== undefined && known.until > now()) return known.verdict;
    const { account, region, apiId } = invoker.place;
    const { method, path } = base.requestContext.http;
    const verdict = await ask(target, {
      ...base,
      type: "REQUEST",
      routeArn: `arn:aws:execute-api:${region}:${account}:${apiId}/$default/${method}${path}`,
      identitySource: identity,
    });
    if (model.ttl > 0 && identity.length > 0)
      kept.set(key, { verdict, until: now() + model.ttl * 1000 });
    return verdict;
  };
}
