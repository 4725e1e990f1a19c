import { S3Error } from "./errors.ts";
import { parameter, parametersWith, type S3Request } from "./request.ts";
import type { ObjectEntry } from "./versions.ts";

/** S3's limit for all user metadata of an object: names and values in bytes. */
const maxMetadataBytes = 2048;

const kept = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-type",
  "expires",
] as const;

/** Parameters that would change what S3 stores or who may read it. Accepting them unheeded would be a lie. */
const refused: Readonly<Record<string, readonly string[]>> = {
  "x-amz-acl": ["private", "bucket-owner-full-control"],
  "x-amz-object-lock-legal-hold": ["OFF"],
  "x-amz-object-lock-mode": [],
  "x-amz-server-side-encryption": ["AES256"],
  "x-amz-server-side-encryption-customer-algorithm": [],
  "x-amz-storage-class": ["STANDARD"],
  "x-amz-website-redirect-location": [],
  "x-amz-write-offset-bytes": [],
};

/** The part of an entry that comes from the headers of the request that stores it. */
export type StoredHeaders = Pick<ObjectEntry, "headers" | "metadata">;

/** Reads standard headers and user metadata. Throws MetadataTooLarge, NotImplemented. */
export function storedHeaders(request: S3Request): StoredHeaders {
  refuseUnkept(request);
  const found = kept.map((name) => [name, parameter(request, name)] as const);
  const headers: Record<string, string> = { "content-type": "binary/octet-stream" };
  for (const [name, value] of found) {
    const plain = name === "content-encoding" ? withoutFraming(value) : value;
    if (plain !== undefined && plain !== "") headers[name] = plain;
  }
  const metadata = Object.fromEntries(parametersWith(request, "x-amz-meta-"));
  checkHeaderText({ ...headers, ...metadata });
  const bytes = Object.entries(metadata).flat().join("");
  if (Buffer.byteLength(bytes) > maxMetadataBytes) {
    const message = "Your metadata headers exceed the maximum allowed metadata size";
    throw new S3Error("MetadataTooLarge", message, {
      facts: { MaxSizeAllowed: String(maxMetadataBytes) },
    });
  }
  return { headers, metadata };
}

/** Refuses text that could not be sent back as a header; a presigned query can carry any. Throws InvalidArgument. */
export function checkHeaderText(headers: Readonly<Record<string, string>>): void {
  const fits = ([name, value]: readonly [string, string]) =>
    /^[\w!#$%&'*+.^`|~-]+$/.test(name) && /^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(value);
  const found = Object.entries(headers).find((header) => !fits(header));
  if (found === undefined) return;
  throw new S3Error("InvalidArgument", "This value cannot be a header.", {
    facts: { ArgumentName: found[0] },
  });
}

/** The headers that describe a stored object, for GET and HEAD. */
export function describe(entry: ObjectEntry, version: string): Record<string, string> {
  const described: Record<string, string> = {
    ...entry.headers,
    "accept-ranges": "bytes",
    etag: `"${entry.etag}"`,
    "last-modified": new Date(entry.modified).toUTCString(),
    "x-amz-version-id": version,
  };
  for (const [name, value] of Object.entries(entry.metadata)) {
    described[`x-amz-meta-${name}`] = value;
  }
  if (entry.tags.length > 0) described["x-amz-tagging-count"] = String(entry.tags.length);
  return described;
}

/** The checksum of an object as headers. */
export function checksumHeaders({ checksum }: Pick<ObjectEntry, "checksum">) {
  return {
    [`x-amz-checksum-${checksum.algorithm}`]: checksum.value,
    "x-amz-checksum-type": checksum.type,
  };
}

function refuseUnkept(request: S3Request): void {
  const grants = parametersWith(request, "x-amz-grant-");
  const found = Object.entries(refused).find(([name, fine]) => {
    const value = parameter(request, name);
    return value !== undefined && !fine.includes(value);
  });
  if (found === undefined && grants.size === 0) return;
  const message = "A header you provided implies functionality that is not implemented";
  throw new S3Error("NotImplemented", message, { facts: { Header: found?.[0] ?? "x-amz-grant" } });
}

/** aws-chunked describes the transfer, not the object. */
function withoutFraming(encoding: string | undefined): string | undefined {
  const codings = encoding?.split(",").map((coding) => coding.trim());
  return codings?.filter((coding) => coding !== "aws-chunked").join(",");
}
