import type { Handler } from "../../../functions/entry.ts";
import type { Load } from "../../../localstack/gateway/invoke.ts";
import type {
  AuthorizerModel,
  FunctionModel,
  ServiceModel,
} from "../../../localstack/gateway/service.ts";

/** A function of a made-up service; `handler` is its name. */
export function fn(name: string, more: Partial<FunctionModel> = {}): FunctionModel {
  return {
    name,
    handler: name,
    routes: [],
    socketRoutes: [],
    eventPatterns: [],
    streams: [],
    schedules: [],
    timeout: 29,
    memory: 128,
    ...more,
  };
}

/** A made-up service around some functions. */
export function model(
  functions: readonly FunctionModel[],
  authorizers: Readonly<Record<string, AuthorizerModel>> = {},
): ServiceModel {
  return {
    name: "made-up",
    stage: "dev",
    functions,
    authorizers,
    table: {
      logicalId: "Table",
      properties: { KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }] },
    },
    buckets: [],
    environment: {},
  };
}

/** Loads handlers from an object, by function name. */
export function loadFrom(handlers: Readonly<Record<string, Handler>>): Load {
  return async (name) => {
    const handler = handlers[name];
    if (handler === undefined) throw new Error(`no handler ${name}`);
    return handler;
  };
}
