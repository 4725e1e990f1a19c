import type { Segment } from "./blobs.ts";
import { digested, type Outcome, tooLarge, verifiedBody } from "./body.ts";
import { algorithmNamed, type ChecksumAlgorithm } from "./checksums.ts";
import { checkCopySource, checkWrite } from "./conditions.ts";
import { S3Error } from "./errors.ts";
import type { BucketEvent } from "./events.ts";
import { checksumHeaders, type StoredHeaders, storedHeaders } from "./object-headers.ts";
import { type Answer, type Operation, requireBucket, requireObject } from "./operation.ts";
import { parameter, type S3Request } from "./request.ts";
import { parseTagHeader } from "./tags.ts";
import { decodeUri, parseTarget } from "./uri.ts";
import type { ObjectEntry, ObjectVersion, Tags } from "./versions.ts";
import { element, xmlDocument } from "./xml.ts";

/** PutObject. */
export async function putObject(operation: Operation): Promise<Answer> {
  const { request, store } = operation;
  requireBucket(operation);
  const stored = storedHeaders(request);
  const tags = parseTagHeader(parameter(request, "x-amz-tagging"));
  checkWrite(request, store.versions.latest(request.bucket, request.key));
  const { segment, outcome } = await receive(operation);
  const version = await placeOrClear(
    operation,
    entryOf(segment, outcome, { stored, tags }),
    "PutObject",
  );
  return { status: 200, headers: writtenHeaders(version) };
}

/** Takes the body of a request to disk, verified. Nothing stays when it fails. */
export async function receive(
  { request, authenticated, store }: Operation,
  fallback?: ChecksumAlgorithm,
): Promise<{ segment: Segment; outcome: Outcome }> {
  const body = verifiedBody(request, authenticated, fallback);
  if (body.length > store.maxObjectBytes) throw tooLarge(store.maxObjectBytes);
  const segment = await store.blobs.write(body.chunks);
  return { segment, outcome: body.outcome() };
}

/** CopyObject. Bytes are copied, so a later removal of the source changes nothing. */
export async function copyObject(operation: Operation): Promise<Answer> {
  const { request, store } = operation;
  requireBucket(operation);
  const source = requireObject(operation, copySourceOf(request));
  checkCopySource(request, source.entry);
  checkWrite(request, store.versions.latest(request.bucket, request.key));
  const more = copiedAttributes(request, source);
  const named = parameter(request, "x-amz-checksum-algorithm");
  const algorithm = named === undefined ? source.entry.checksum.algorithm : algorithmNamed(named);
  const { size, segments } = source.entry;
  const copy = digested(store.blobs.read(segments, 0, size - 1), algorithm);
  const segment = await store.blobs.write(copy.chunks);
  const entry = entryOf(segment, copy.outcome(), more);
  const version = await placeOrClear(operation, entry, "CopyObject");
  return {
    status: 200,
    headers: {
      "x-amz-version-id": version.version,
      "x-amz-copy-source-version-id": source.version,
    },
    xml: copyResult(version),
  };
}

/**
 * Makes an entry the newest version of the request's key, its conditions checked in the same
 * transaction, and tells of it. `also` runs in that transaction first.
 */
export function place(
  operation: Operation,
  entry: Omit<ObjectEntry, "kind" | "modified">,
  reason: NonNullable<BucketEvent["detail"]["reason"]>,
  also?: () => void,
): ObjectVersion {
  const { request, store } = operation;
  const { bucket, key } = request;
  return store.commit((emit) => {
    also?.();
    requireBucket(operation);
    checkWrite(request, store.versions.latest(bucket, key));
    const full: ObjectEntry = { kind: "object", modified: store.now().toISOString(), ...entry };
    const pushed = store.versions.push({ bucket, key, version: store.newId() }, full);
    emit(pushed, { type: "Object Created", request, reason });
    return { ...pushed, entry: full };
  });
}

/** The headers that answer every kind of finished write. */
function writtenHeaders({ version, entry }: ObjectVersion): Record<string, string> {
  return { etag: `"${entry.etag}"`, "x-amz-version-id": version, ...checksumHeaders(entry) };
}

async function placeOrClear(
  operation: Operation,
  entry: Omit<ObjectEntry, "kind" | "modified">,
  reason: NonNullable<BucketEvent["detail"]["reason"]>,
): Promise<ObjectVersion> {
  try {
    return place(operation, entry, reason);
  } catch (error) {
    await operation.store.blobs.remove(entry.segments);
    throw error;
  }
}

function entryOf(
  segment: Segment,
  { md5, checksum }: Outcome,
  { stored, tags }: { stored: StoredHeaders; tags: Tags },
): Omit<ObjectEntry, "kind" | "modified"> {
  const { size } = segment;
  return { size, etag: md5, segments: [segment], multipart: false, checksum, ...stored, tags };
}

function copySourceOf(request: S3Request) {
  const header = parameter(request, "x-amz-copy-source") ?? "";
  const at = header.lastIndexOf("?versionId=");
  const path = at === -1 ? header : header.slice(0, at);
  const target = parseTarget(path);
  if (target.bucket === "" || target.key === "") {
    throw new S3Error("InvalidArgument", "Invalid copy source object key");
  }
  const version = at === -1 ? undefined : decodeUri(header.slice(at + "?versionId=".length));
  return { ...target, version };
}

function copiedAttributes(request: S3Request, source: ObjectVersion) {
  const metadata = directive(request, "x-amz-metadata-directive");
  const tagging = directive(request, "x-amz-tagging-directive");
  const ontoItself = source.bucket === request.bucket && source.key === request.key;
  if (ontoItself && source.latest && metadata === "COPY") {
    const message =
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.";
    throw new S3Error("InvalidRequest", message);
  }
  const given = storedHeaders(request);
  const header = parameter(request, "x-amz-tagging");
  const { headers, metadata: kept, tags } = source.entry;
  return {
    stored: metadata === "COPY" ? { headers, metadata: kept } : given,
    tags: tagging === "COPY" ? tags : parseTagHeader(header),
  };
}

function directive(request: S3Request, name: string): "COPY" | "REPLACE" {
  const value = parameter(request, name) ?? "COPY";
  if (value === "COPY" || value === "REPLACE") return value;
  throw new S3Error("InvalidArgument", `Unknown ${name}.`, { facts: { ArgumentName: name } });
}

function copyResult({ entry }: ObjectVersion): string {
  const { algorithm, value, type } = entry.checksum;
  return xmlDocument("CopyObjectResult", [
    element("LastModified", entry.modified),
    element("ETag", `"${entry.etag}"`),
    element(`Checksum${algorithm.toUpperCase()}`, value),
    element("ChecksumType", type),
  ]);
}
