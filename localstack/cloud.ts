import { join } from "node:path";
import type { Environment, Handler } from "../functions/entry.ts";
import { bucketEnvironment } from "./bucket/environment.ts";
import { type BucketServer, startBucketServer } from "./bucket/server.ts";
import { type Gateway, startGateway } from "./gateway/gateway.ts";
import { readService, type ServiceModel } from "./gateway/service.ts";
import type { Credentials } from "./settings.ts";
import { type OfflineTable, startTable } from "./table/start.ts";
import { startTriggers, type Triggers } from "./triggers/triggers.ts";

/** How an offline cloud is started. Ports of 0 take any free one. */
export interface CloudOptions {
  readonly port: number;
  readonly bucketPort: number;
  readonly dataDir: string;
  readonly credentials: Credentials;
  /** Settings of the functions on top of what serverless.yml says. */
  readonly functions?: Readonly<Record<string, string>>;
  readonly tableEndpoint?: string;
  readonly onFailure?: (functionName: string, error: unknown) => void;
  /** Runs every call of a function, named as serverless.yml names it: to watch or to disturb it. */
  readonly around?: Around;
  /** Answers where functions find the table instead: something in between may disturb their calls. */
  readonly tableThrough?: (endpoint: string) => Promise<string>;
}

type Around = (functionName: string, run: () => Promise<unknown>) => Promise<unknown>;

/** A running offline cloud: everything serverless.yml describes, in this process. */
export interface Cloud {
  readonly url: string;
  readonly socketUrl: string;
  readonly bucketUrl: string;
  readonly bucket: string;
  readonly region: string;
  /** What the functions see; an SDK client finds table and bucket with it too. */
  readonly environment: Environment;
  readonly service: ServiceModel;
  readonly load: (handler: string) => Promise<Handler<never>>;
  close(): Promise<void>;
}

const region = "us-east-1";
const bucketName = "gatehouse-images";
const place = { account: "000000000000", region, stage: "offline", apiId: "gatehouse" };

/** Where serverless.yml and the functions are. */
const root = join(import.meta.dirname, "..");

interface EntryModule {
  readonly create: (environment: Environment) => Handler<never>;
}

/** Loads functions by their handler name once the whole environment is known. */
function loader(service: ServiceModel, environment: Promise<Environment>, around?: Around) {
  const nameOf = (handler: string) =>
    service.functions.find((one) => one.handler === handler)?.name ?? handler;
  const loaded = new Map<string, Promise<Handler<never>>>();
  const build = async (handler: string): Promise<Handler<never>> => {
    const file = join(root, `${handler.slice(0, handler.lastIndexOf("."))}.ts`);
    const module = (await import(file)) as EntryModule;
    const run = module.create(await environment);
    if (around === undefined) return run;
    const name = nameOf(handler);
    return async (event, context) => await around(name, async () => await run(event, context));
  };
  return async (handler: string): Promise<Handler<never>> => {
    const known = loaded.get(handler) ?? build(handler);
    loaded.set(handler, known);
    return await known;
  };
}

/** Starts table, bucket, triggers and gateway; rejects when a port is taken or the folder in use. */
export async function startCloud(options: CloudOptions): Promise<Cloud> {
  const service = readService(join(root, "serverless.yml"));
  const ready = Promise.withResolvers<Environment>();
  const load = loader(service, ready.promise, options.around);
  const parts: { readonly close: () => Promise<void> }[] = [];
  try {
    const triggers = startTriggers({
      service,
      load,
      references: { Bucket: bucketName, Table: "gatehouse" },
      place,
      ...(options.onFailure === undefined ? {} : { onFailure: options.onFailure }),
    });
    parts.push({ close: async () => await triggers.close() });
    const gateway = await openGateway(options, service, load);
    parts.push({ close: async () => await gateway.close() });
    const table = await openTable(options);
    parts.push({ close: async () => await table.stop() });
    const bucket = await openBucket(options, triggers);
    parts.push({ close: async () => await bucket.close() });
    const environment = environmentOf(options, { gateway, table, bucket });
    ready.resolve(environment);
    for (const stream of triggers.streams) {
      table.onChanges(async (records) => await stream.onChanges(records), { name: stream.name });
    }
    return {
      url: gateway.url,
      socketUrl: gateway.socketUrl,
      bucketUrl: bucket.endpoint,
      bucket: bucketName,
      region,
      environment,
      service,
      load,
      close: async () => await closeAll(parts),
    };
  } catch (error) {
    await closeAll(parts);
    throw error;
  }
}

/**
 * In order: triggers while their pushes still reach the gateway, which else would be tried again
 * without end; then requests; then what all of them work on. What was not handled comes again at the
 * next start.
 */
async function closeAll(parts: readonly { readonly close: () => Promise<void> }[]): Promise<void> {
  for (const part of parts) await part.close();
}

async function openGateway(
  options: CloudOptions,
  service: ServiceModel,
  load: Cloud["load"],
): Promise<Gateway> {
  const { port, onFailure } = options;
  return await startGateway({
    port,
    service,
    load,
    place,
    ...(onFailure === undefined ? {} : { onFailure }),
  });
}

async function openTable(options: CloudOptions): Promise<OfflineTable> {
  const { dataDir, tableEndpoint, tableThrough } = options;
  const table = await startTable({
    dataDir: join(dataDir, "table"),
    ...(tableEndpoint === undefined ? {} : { endpoint: tableEndpoint }),
  });
  if (tableThrough === undefined) return table;
  return { ...table, endpoint: await tableThrough(table.endpoint) };
}

async function openBucket(options: CloudOptions, triggers: Triggers): Promise<BucketServer> {
  return await startBucketServer({
    port: options.bucketPort,
    dataDir: join(options.dataDir, "bucket"),
    buckets: [bucketName],
    credentials: options.credentials,
    region,
    onEvent: async (event) => await triggers.onBucketEvent({ ...event }),
  });
}

function environmentOf(
  options: CloudOptions,
  parts: {
    readonly gateway: Gateway;
    readonly table: OfflineTable;
    readonly bucket: BucketServer;
  },
): Environment {
  const { gateway, table, bucket } = parts;
  return {
    ...bucketEnvironment(bucket.endpoint, options.credentials, region),
    AWS_ENDPOINT_URL_DYNAMODB: table.endpoint,
    GATEHOUSE_TABLE: table.name,
    GATEHOUSE_BUCKET: bucketName,
    GATEHOUSE_AUTH: "none",
    GATEHOUSE_SIGNATURE_POLICY: "optional",
    GATEHOUSE_SOCKET_URL: gateway.socketUrl,
    GATEHOUSE_SOCKET_ENDPOINT: gateway.url,
    GATEHOUSE_DEFAULT_QUOTA: "64",
    ...options.functions,
  };
}
