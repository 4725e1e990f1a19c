import * as z from "zod/mini";
import { readServiceFile, type VariableSources } from "./variables.ts";

/** One HTTP route. `method` is upper case or `ANY`; `path` is API Gateway's pattern or `$default`. */
export interface RouteModel {
  readonly method: string;
  readonly path: string;
  /** Name of an entry of `ServiceModel.authorizers`; absent: anyone may call. */
  readonly authorizer?: string;
}

/** A Lambda REQUEST authorizer with simple responses, payload format 2.0. */
export interface AuthorizerModel {
  readonly functionName: string;
  /** `$request.header.X` or `$request.querystring.x`; all must be present, else 401. */
  readonly identitySource: readonly string[];
  /** Seconds a result is kept per identity; 0 never. */
  readonly ttl: number;
}

/** A DynamoDB stream subscription, as the event source mapping has it. */
export interface StreamModel {
  readonly batchSize: number;
  /** Batches under way at once; changes of one partition key stay in order. */
  readonly lanes: number;
  readonly bisect: boolean;
  readonly reportsItemFailures: boolean;
  /** Tries after the first; -1 is for ever. */
  readonly maximumRetryAttempts: number;
  /** A change that none of them matches is passed over; absent: all changes are wanted. */
  readonly filters?: readonly unknown[];
}

/** One function with everything that calls it. */
export interface FunctionModel {
  readonly name: string;
  /** Source entry and export, e.g. `functions/http/images.handler`. */
  readonly handler: string;
  readonly routes: readonly RouteModel[];
  readonly socketRoutes: readonly string[];
  /** EventBridge patterns, references still as `{Ref: …}`. */
  readonly eventPatterns: readonly unknown[];
  readonly streams: readonly StreamModel[];
  /** `rate(…)` expressions. */
  readonly schedules: readonly string[];
  /** Seconds. */
  readonly timeout: number;
  /** Megabytes. */
  readonly memory: number;
}

/** A table's logical id and its CloudFormation properties (the shape CreateTable takes). */
interface TableModel {
  readonly logicalId: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

/** serverless.yml as the offline cloud needs it: the one source of routes and triggers. */
export interface ServiceModel {
  readonly name: string;
  readonly stage: string;
  readonly functions: readonly FunctionModel[];
  readonly authorizers: Readonly<Record<string, AuthorizerModel>>;
  readonly table: TableModel;
  /** Logical ids of the buckets. */
  readonly buckets: readonly string[];
  /** The functions' environment, references still as `{Ref: …}`; see `substitute`. */
  readonly environment: Readonly<Record<string, unknown>>;
}

const httpEvent = z.object({
  httpApi: z.strictObject({
    method: z.string(),
    path: z.string(),
    authorizer: z.optional(z.object({ name: z.string() })),
  }),
});
const socketEvent = z.object({
  websocket: z.union([z.string(), z.strictObject({ route: z.string() })]),
});
// Strict: a filter or window that is not served here must not be lost in silence.
const busEvent = z.object({
  eventBridge: z.strictObject({
    pattern: z.unknown(),
    deadLetterQueueArn: z.optional(z.unknown()),
    retryPolicy: z.optional(z.unknown()),
  }),
});
const streamEvent = z.object({
  stream: z.strictObject({
    type: z.literal("dynamodb"),
    arn: z.unknown(),
    startingPosition: z.optional(z.string()),
    destinations: z.optional(z.unknown()),
    parallelizationFactor: z.prefault(z.number(), 1),
    batchSize: z.prefault(z.number(), 10),
    bisectBatchOnFunctionError: z.prefault(z.boolean(), false),
    functionResponseType: z.optional(z.string()),
    maximumRetryAttempts: z.prefault(z.number(), -1),
    filterPatterns: z.optional(z.array(z.unknown()).check(z.minLength(1), z.maxLength(5))),
  }),
});
const scheduleEvent = z.object({ schedule: z.string() });
const event = z.union([httpEvent, socketEvent, busEvent, streamEvent, scheduleEvent]);

const functionSchema = z.object({
  package: z.object({ artifact: z.string() }),
  timeout: z.optional(z.number()),
  memorySize: z.optional(z.number()),
  events: z.prefault(z.array(event), []),
});

const authorizerSchema = z.object({
  type: z.literal("request"),
  functionName: z.string(),
  identitySource: z.optional(z.union([z.string(), z.array(z.string())])),
  enableSimpleResponses: z.literal(true),
  payloadVersion: z.literal("2.0"),
  resultTtlInSeconds: z.prefault(z.number(), 0),
});

const resource = z.looseObject({
  Type: z.optional(z.string()),
  Properties: z.optional(z.record(z.string(), z.unknown())),
});
const stack = z.object({
  Resources: z.optional(z.union([z.string(), z.record(z.string(), resource)])),
});

const serviceSchema = z.object({
  service: z.string(),
  provider: z.object({
    stage: z.string(),
    timeout: z.prefault(z.number(), 6),
    memorySize: z.prefault(z.number(), 1024),
    environment: z.prefault(z.record(z.string(), z.unknown()), {}),
    httpApi: z.optional(
      z.object({ authorizers: z.prefault(z.record(z.string(), authorizerSchema), {}) }),
    ),
  }),
  functions: z.record(z.string(), functionSchema),
  resources: z.union([z.array(stack), stack]),
});
type Service = z.infer<typeof serviceSchema>;
type FunctionSchema = z.infer<typeof functionSchema>;

function handlerOf(name: string, artifact: string): string {
  const match = /(?:^|\/)(accelerator|events|glance|http|openstack|socket)-([\w-]+)\.zip$/.exec(
    artifact,
  );
  if (match === null) throw new Error(`function ${name}: artifact ${artifact} names no source`);
  return `functions/${match[1]}/${match[2]}.handler`;
}

function routeOf({ httpApi }: z.infer<typeof httpEvent>): RouteModel {
  const method = httpApi.method === "*" ? "ANY" : httpApi.method.toUpperCase();
  const path = httpApi.path === "*" ? "$default" : httpApi.path;
  const route = { method, path };
  return httpApi.authorizer === undefined
    ? route
    : { ...route, authorizer: httpApi.authorizer.name };
}

function streamOf({ stream }: z.infer<typeof streamEvent>): StreamModel {
  return {
    batchSize: stream.batchSize,
    lanes: stream.parallelizationFactor,
    bisect: stream.bisectBatchOnFunctionError,
    reportsItemFailures: stream.functionResponseType === "ReportBatchItemFailures",
    maximumRetryAttempts: stream.maximumRetryAttempts,
    ...(stream.filterPatterns === undefined ? {} : { filters: stream.filterPatterns }),
  };
}

function functionOf(name: string, given: FunctionSchema, service: Service): FunctionModel {
  const { events } = given;
  return {
    name,
    handler: handlerOf(name, given.package.artifact),
    routes: events.flatMap((item) => ("httpApi" in item ? [routeOf(item)] : [])),
    socketRoutes: events.flatMap((item) => {
      if (!("websocket" in item)) return [];
      return [typeof item.websocket === "string" ? item.websocket : item.websocket.route];
    }),
    eventPatterns: events.flatMap((item) =>
      "eventBridge" in item ? [item.eventBridge.pattern] : [],
    ),
    streams: events.flatMap((item) => ("stream" in item ? [streamOf(item)] : [])),
    schedules: events.flatMap((item) => ("schedule" in item ? [item.schedule] : [])),
    timeout: given.timeout ?? service.provider.timeout,
    memory: given.memorySize ?? service.provider.memorySize,
  };
}

function authorizerOf(given: z.infer<typeof authorizerSchema>): AuthorizerModel {
  const source = given.identitySource ?? [];
  return {
    functionName: given.functionName,
    identitySource: typeof source === "string" ? source.split(",").map((s) => s.trim()) : source,
    ttl: given.resultTtlInSeconds,
  };
}

function resourcesOf(service: Service): [string, z.infer<typeof resource>][] {
  const stacks = Array.isArray(service.resources) ? service.resources : [service.resources];
  return stacks.flatMap(({ Resources }) =>
    typeof Resources === "object" ? Object.entries(Resources) : [],
  );
}

/**
 * Reads serverless.yml (with its included files) into the model of the offline cloud. Throws when
 * it uses a kind of trigger, table or authorizer the offline cloud would not serve as AWS does.
 */
export function readService(
  path: string,
  sources: VariableSources = { options: {}, environment: {} },
): ServiceModel {
  const parsed = serviceSchema.safeParse(readServiceFile(path, sources));
  if (!parsed.success) throw new Error(`${path}: ${z.prettifyError(parsed.error)}`);
  const service = parsed.data;
  const resources = resourcesOf(service);
  const table = resources.find(([, { Type }]) => Type === "AWS::DynamoDB::Table");
  if (table === undefined) throw new Error(`${path}: no table`);
  const authorizers = Object.entries(service.provider.httpApi?.authorizers ?? {});
  return {
    name: service.service,
    stage: service.provider.stage,
    functions: Object.entries(service.functions).map(([name, given]) =>
      functionOf(name, given, service),
    ),
    authorizers: Object.fromEntries(authorizers.map(([name, it]) => [name, authorizerOf(it)])),
    table: { logicalId: table[0], properties: table[1].Properties ?? {} },
    buckets: resources.flatMap(([id, { Type }]) => (Type === "AWS::S3::Bucket" ? [id] : [])),
    environment: service.provider.environment,
  };
}
