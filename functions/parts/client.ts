import type { Environment } from "../entry.ts";

/** What an SDK client needs; in Lambda everything but the region comes from the runtime. */
export interface ClientConfig {
  readonly region: string;
  readonly endpoint?: string;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/**
 * A client's configuration from a function's environment, by the SDK's own variable names, so that
 * several offline clouds can live in one process without sharing `process.env`.
 */
export function clientConfig(environment: Environment, service: "DYNAMODB" | "S3"): ClientConfig {
  const endpoint = environment[`AWS_ENDPOINT_URL_${service}`] ?? environment["AWS_ENDPOINT_URL"];
  const accessKeyId = environment["AWS_ACCESS_KEY_ID"];
  const secretAccessKey = environment["AWS_SECRET_ACCESS_KEY"];
  const isOverridden = endpoint !== undefined && accessKeyId !== undefined;
  return {
    region: environment["AWS_REGION"] ?? "us-east-1",
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(isOverridden && secretAccessKey !== undefined
      ? { credentials: { accessKeyId, secretAccessKey } }
      : {}),
  };
}
