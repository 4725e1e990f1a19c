import { checkRead } from "./conditions.ts";
import { S3Error } from "./errors.ts";
import { checkHeaderText, checksumHeaders, describe } from "./object-headers.ts";
import { type Answer, type Operation, placeOf, requireObject } from "./operation.ts";
import { type ByteRange, partRange, rangeOf } from "./range.ts";
import { parameter, type S3Request } from "./request.ts";
import type { ObjectEntry } from "./versions.ts";

/** GetObject and HeadObject; the latter's body is not sent, so it is not read either. */
export function getObject(operation: Operation): Answer {
  const { request, store } = operation;
  const { entry, version } = requireObject(operation, placeOf(request));
  checkRead(request, entry);
  const range = selectedRange(request, entry);
  const headers = {
    ...describe(entry, version),
    ...checksumsAsked(request, entry, range),
    ...partsCount(request, entry),
    ...overrides(request),
  };
  const { first, last } = range ?? { first: 0, last: entry.size - 1 };
  const body = { length: last - first + 1, chunks: store.blobs.read(entry.segments, first, last) };
  if (range === undefined) return { status: 200, headers, body };
  const partial = { ...headers, "content-range": `bytes ${first}-${last}/${entry.size}` };
  return { status: 206, headers: partial, body };
}

function selectedRange(request: S3Request, entry: ObjectEntry): ByteRange | undefined {
  const part = request.query.get("partNumber");
  const header = request.headers.get("range");
  if (part === undefined) return rangeOf(header, entry.size);
  if (header !== undefined) {
    const message = "Cannot specify both Range header and partNumber query parameter";
    throw new S3Error("InvalidRequest", message);
  }
  const range = partRange(entry, part);
  // An empty object has no byte that a Content-Range could name.
  return entry.size === 0 ? undefined : range;
}

/** A checksum of the whole says nothing of a part of it, so ranges go without. */
function checksumsAsked(request: S3Request, entry: ObjectEntry, range: ByteRange | undefined) {
  const asked = parameter(request, "x-amz-checksum-mode")?.toUpperCase() === "ENABLED";
  return asked && range === undefined ? checksumHeaders(entry) : {};
}

function partsCount(request: S3Request, entry: ObjectEntry): Record<string, string> {
  if (!entry.multipart || !request.query.has("partNumber")) return {};
  return { "x-amz-mp-parts-count": String(entry.segments.length) };
}

/** The response-* parameters of a (signed) URL replace stored headers. */
function overrides(request: S3Request): Record<string, string> {
  const names = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
  ];
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = request.query.get(`response-${name}`);
    if (value !== undefined) found[name] = value;
  }
  checkHeaderText(found);
  return found;
}
