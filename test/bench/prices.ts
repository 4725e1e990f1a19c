/**
 * List prices of us-east-1 in dollars, without free tiers and discounts, first tier, as of November
 * 2026. DynamoDB: on-demand since November 2024 (aws.amazon.com/dynamodb/pricing/on-demand). Lambda:
 * arm64 (aws.amazon.com/lambda/pricing). API Gateway: HTTP and WebSocket APIs
 * (aws.amazon.com/api-gateway/pricing). S3 standard (aws.amazon.com/s3/pricing). CloudWatch logs,
 * ingested (aws.amazon.com/cloudwatch/pricing). Streams that Lambda reads cost nothing.
 */
export const prices = {
  writeUnit: 0.625e-6,
  readUnit: 0.125e-6,
  lambdaRequest: 0.2e-6,
  lambdaGbSecond: 0.000_013_333_4,
  httpRequest: 1e-6,
  socketMessage: 1e-6,
  socketMinute: 0.25e-6,
  s3Write: 5e-6,
  s3Read: 0.4e-6,
  logGb: 0.5,
} as const;

/** Memory of a function, GB (serverless.yml), and what Lambda itself logs of each call, bytes. */
export const functionGb = 0.5;
export const logBytes = 400;

/**
 * What a call to AWS takes inside a function, ms, as one call after the other: a get or query, a
 * write, a transaction (reference/peers.md §4: 7.6 ms and 25 ms at the median), a post to a socket.
 */
export const callMs = { read: 5, write: 8, transaction: 25, post: 10, s3: 20 } as const;

/** What was used, in units that are billed. */
export interface Usage {
  readonly calls: number;
  readonly ownMs: number;
  readonly awsMs: number;
  readonly reads: number;
  readonly writes: number;
  readonly http: number;
  readonly messages: number;
  readonly s3Reads: number;
  readonly s3Writes: number;
}

/** What the usage costs, dollars. */
export function dollarsOf(usage: Usage): number {
  const { calls, ownMs, awsMs, reads, writes, http, messages, s3Reads, s3Writes } = usage;
  const gbSeconds = ((ownMs + awsMs) / 1000) * functionGb;
  return (
    calls * (prices.lambdaRequest + (logBytes / 1e9) * prices.logGb) +
    gbSeconds * prices.lambdaGbSecond +
    reads * prices.readUnit +
    writes * prices.writeUnit +
    http * prices.httpRequest +
    messages * prices.socketMessage +
    s3Reads * prices.s3Read +
    s3Writes * prices.s3Write
  );
}
