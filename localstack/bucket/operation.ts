import type { Authenticated } from "./authenticate.ts";
import { S3Error } from "./errors.ts";
import type { S3Request } from "./request.ts";
import type { BucketStore } from "./store.ts";
import type { MarkerEntry, ObjectVersion, Version } from "./versions.ts";

/** An answer to send. `xml` and `body` exclude each other; HEAD answers leave the body unsent. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly xml?: string;
  readonly body?: { readonly length: number; readonly chunks: AsyncIterable<Buffer> };
}

/** One authenticated request and what it works on. */
export interface Operation {
  readonly request: S3Request;
  readonly authenticated: Authenticated;
  readonly store: BucketStore;
}

/** Carries out one S3 operation. Throws S3Error for what S3 refuses. */
export type Operate = (operation: Operation) => Answer | Promise<Answer>;

/** Throws NoSuchBucket unless the request's bucket (or `name`) exists. */
export function requireBucket({ store, request }: Operation, name = request.bucket): void {
  if (store.registry.find(name) !== undefined) return;
  throw new S3Error("NoSuchBucket", "The specified bucket does not exist", {
    facts: { BucketName: name },
  });
}

/**
 * Finds the version that a request means: the one named by `version`, or the newest.
 * Throws NoSuchBucket, NoSuchKey, NoSuchVersion, and MethodNotAllowed for a delete marker named by its id.
 */
export function requireObject(
  operation: Operation,
  at: { bucket: string; key: string; version: string | undefined },
): ObjectVersion {
  requireBucket(operation, at.bucket);
  const found = findVersion(operation.store, at);
  if (isObject(found)) return found;
  throw missing(at, found);
}

/** The place that the request itself names. */
export function placeOf({ bucket, key, query }: S3Request) {
  return { bucket, key, version: query.get("versionId") };
}

/** Narrows to a version that holds an object. */
function isObject(version: Version | undefined): version is ObjectVersion {
  return version?.entry.kind === "object";
}

function findVersion(
  { versions }: BucketStore,
  { bucket, key, version }: { bucket: string; key: string; version: string | undefined },
): Version | undefined {
  if (version === undefined) return versions.latest(bucket, key);
  return versions.find(bucket, key, version);
}

function missing(
  { key, version }: { key: string; version: string | undefined },
  found: Version | undefined,
): S3Error {
  const headers: Record<string, string> = {};
  if (found !== undefined) {
    const marker = found.entry as MarkerEntry;
    headers["x-amz-delete-marker"] = "true";
    headers["x-amz-version-id"] = found.version;
    headers["last-modified"] = new Date(marker.modified).toUTCString();
  }
  if (version === undefined) {
    const message = "The specified key does not exist.";
    return new S3Error("NoSuchKey", message, { facts: { Key: key }, headers });
  }
  if (found !== undefined) {
    const message = "The specified method is not allowed against this resource.";
    return new S3Error("MethodNotAllowed", message, { headers: { ...headers, allow: "DELETE" } });
  }
  return new S3Error("NoSuchVersion", "The specified version does not exist.", {
    facts: { Key: key, VersionId: version },
  });
}
