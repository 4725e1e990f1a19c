import type { BucketCredentials } from "./authenticate.ts";

/**
 * The variables that point any AWS SDK or the AWS CLI at a bucket server. The empty session token
 * hides one that the shell may have from a real account. SDKs address buckets in the path when
 * the endpoint is an IP address.
 */
export function bucketEnvironment(
  endpoint: string,
  credentials: BucketCredentials,
  region: string,
): Readonly<Record<string, string>> {
  return {
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_SESSION_TOKEN: "",
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
  };
}
