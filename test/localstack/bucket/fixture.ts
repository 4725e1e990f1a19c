import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { onTestFinished } from "vitest";
import type { BucketEvent } from "../../../localstack/bucket/events.ts";
import {
  type BucketServer,
  type BucketServerOptions,
  startBucketServer,
} from "../../../localstack/bucket/server.ts";

export const credentials = { accessKeyId: "gatehouse", secretAccessKey: "secret-of-gatehouse" };
export const region = "eu-central-1";
export const Bucket = "images";

/** The SDK warns of streams whose length it was told, which is noise here. */
const ignore = (): void => {};
const silent = { debug: ignore, info: ignore, warn: ignore, error: ignore };

/** A directory that vanishes with the test. */
export async function scratch(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "bucket-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A running server with one bucket, stopped with the test; `events` fills as things happen. */
export async function serve(options: Partial<BucketServerOptions> = {}) {
  const events: BucketEvent[] = [];
  const dataDir = options.dataDir ?? (await scratch());
  const server = await startBucketServer({
    dataDir,
    buckets: [Bucket],
    credentials,
    region,
    onEvent: (event) => void events.push(event),
    ...options,
  });
  let open = true;
  const close = async (): Promise<void> => {
    if (open) await server.close();
    open = false;
  };
  onTestFinished(close);
  return { ...server, close, dataDir, events, s3: clientOf(server) };
}

/** A client as any user would make it; closed with the test. */
export function clientOf(
  server: Pick<BucketServer, "endpoint">,
  more: S3ClientConfig = {},
): S3Client {
  const client = new S3Client({
    endpoint: server.endpoint,
    region,
    credentials,
    forcePathStyle: true,
    maxAttempts: 1,
    logger: silent,
    ...more,
  });
  onTestFinished(() => client.destroy());
  return client;
}

/** The name and HTTP status of the error that a call ends with; "no error" when it succeeds. */
export async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "no error";
  } catch (error) {
    const { name, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } };
    return `${name} ${$metadata?.httpStatusCode}`;
  }
}

/** One request as it is written here, over node:http, which leaves paths with dots alone. */
export function send(
  url: string,
  options: { method?: string; path?: string; headers?: Record<string, string>; body?: Buffer },
): Promise<{ status: number; text: string; headers: Record<string, unknown> }> {
  const { body, ...rest } = options;
  return new Promise((resolve, reject) => {
    const sent = request(url, rest, (answer) => {
      const pieces: Buffer[] = [];
      answer.on("data", (piece: Buffer) => pieces.push(piece));
      answer.on("end", () =>
        resolve({
          status: answer.statusCode ?? 0,
          text: Buffer.concat(pieces).toString(),
          headers: answer.headers,
        }),
      );
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** The code of an S3 error document. */
export function codeOf(text: string): string {
  return /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? "";
}

/** Bytes that differ from place to place and are the same on every run. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE((at * 2654435761) >>> 0, at);
  return bytes;
}
