import { ownerElement } from "./buckets.ts";
import {
  algorithmNamed,
  type Checksum,
  type ChecksumAlgorithm,
  defaultAlgorithm,
} from "./checksums.ts";
import { S3Error } from "./errors.ts";
import { storedHeaders } from "./object-headers.ts";
import { receive } from "./objects-write.ts";
import { type Answer, type Operation, requireBucket } from "./operation.ts";
import { parameter, type S3Request } from "./request.ts";
import { parseTagHeader } from "./tags.ts";
import type { Part, Upload } from "./uploads.ts";
import { element, xmlDocument } from "./xml.ts";

/** S3's highest part number, and its largest page of ListParts is 1000. */
const maxPartNumber = 10_000;
const maxPage = 1000;

/** CreateMultipartUpload. */
export function createUpload(operation: Operation): Answer {
  const { request, store } = operation;
  requireBucket(operation);
  const { bucket, key } = request;
  const upload: Upload = {
    id: store.newId(),
    bucket,
    key,
    initiated: store.now().toISOString(),
    stored: storedHeaders(request),
    tags: parseTagHeader(parameter(request, "x-amz-tagging")),
    ...checksumPlan(request),
  };
  store.commit(() => store.uploads.add(upload));
  const xml = xmlDocument("InitiateMultipartUploadResult", [
    element("Bucket", bucket),
    element("Key", key),
    element("UploadId", upload.id),
  ]);
  const headers = {
    "x-amz-checksum-algorithm": upload.algorithm.toUpperCase(),
    "x-amz-checksum-type": upload.checksumType,
  };
  return { status: 200, xml, ...(upload.named ? { headers } : {}) };
}

/** UploadPart. A part of the same number is replaced. */
export async function uploadPart(operation: Operation): Promise<Answer> {
  const { request, store } = operation;
  const upload = requireUpload(operation);
  const number = partNumberOf(request);
  const { segment, outcome } = await receive(operation, upload.algorithm);
  const { md5, checksum } = outcome;
  const part: Part = {
    number,
    segment,
    etag: md5,
    checksum,
    modified: store.now().toISOString(),
  };
  try {
    checkAlgorithm(upload, checksum.algorithm);
    const replaced = store.commit(() => {
      requireUpload(operation);
      return store.uploads.putPart(upload.id, part);
    });
    if (replaced !== undefined) await store.blobs.remove([replaced.segment]);
  } catch (error) {
    await store.blobs.remove([segment]);
    throw error;
  }
  const headers = { etag: `"${md5}"`, [`x-amz-checksum-${checksum.algorithm}`]: checksum.value };
  return { status: 200, headers };
}

/** AbortMultipartUpload. */
export async function abortUpload(operation: Operation): Promise<Answer> {
  const { store } = operation;
  const freed = store.commit(() => {
    const { id } = requireUpload(operation);
    const parts = store.uploads.parts(id);
    store.uploads.drop(id);
    return parts.map(({ segment }) => segment);
  });
  await store.blobs.remove(freed);
  return { status: 204 };
}

/** ListParts. */
export function listParts(operation: Operation): Answer {
  const { request, store } = operation;
  const { id, bucket, key } = requireUpload(operation);
  const marker = countOf(request, "part-number-marker", 0);
  const limit = Math.min(countOf(request, "max-parts", maxPage), maxPage);
  const behind = store.uploads.parts(id).filter(({ number }) => number > marker);
  const page = behind.slice(0, limit);
  const xml = xmlDocument("ListPartsResult", [
    element("Bucket", bucket),
    element("Key", key),
    element("UploadId", id),
    element("PartNumberMarker", marker),
    element("NextPartNumberMarker", page.at(-1)?.number ?? 0),
    element("MaxParts", limit),
    element("IsTruncated", behind.length > page.length),
    ownerElement,
    element("StorageClass", "STANDARD"),
    ...page.map(partElement),
  ]);
  return { status: 200, xml };
}

/** ListMultipartUploads, on one page. */
export function listUploads(operation: Operation): Answer {
  requireBucket(operation);
  const { request, store } = operation;
  const prefix = request.query.get("prefix") ?? "";
  const uploads = store.uploads.of(request.bucket).filter(({ key }) => key.startsWith(prefix));
  const xml = xmlDocument("ListMultipartUploadsResult", [
    element("Bucket", request.bucket),
    element("Prefix", prefix),
    element("IsTruncated", false),
    ...uploads.map(({ id, key, initiated }) =>
      element("Upload", [
        element("Key", key),
        element("UploadId", id),
        element("Initiated", initiated),
      ]),
    ),
  ]);
  return { status: 200, xml };
}

/** The upload that a request names, at the key it was begun for. Throws NoSuchBucket, NoSuchUpload. */
export function requireUpload(operation: Operation): Upload {
  requireBucket(operation);
  const { request, store } = operation;
  const upload = store.uploads.find(request.query.get("uploadId") ?? "");
  if (upload?.bucket === request.bucket && upload.key === request.key) return upload;
  const message =
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
  throw new S3Error("NoSuchUpload", message);
}

function partElement({ number, etag, segment, modified, checksum }: Part): string {
  return element("Part", [
    element("PartNumber", number),
    element("LastModified", modified),
    element("ETag", `"${etag}"`),
    element("Size", segment.size),
    element(`Checksum${checksum.algorithm.toUpperCase()}`, checksum.value),
  ]);
}

/** Which types an algorithm has (S3 user guide, "Full object and composite checksum types"). */
function checksumPlan(request: S3Request) {
  const name = parameter(request, "x-amz-checksum-algorithm");
  const algorithm = name === undefined ? defaultAlgorithm : algorithmNamed(name);
  const whole = algorithm === "crc64nvme";
  const type = parameter(request, "x-amz-checksum-type") ?? (whole ? "FULL_OBJECT" : "COMPOSITE");
  const fits =
    type === "COMPOSITE" ? !whole : type === "FULL_OBJECT" && algorithm.startsWith("crc");
  if (!fits) {
    const message = `The ${type} checksum type cannot be used with the ${algorithm} checksum algorithm.`;
    throw new S3Error("InvalidRequest", message);
  }
  const checksumType: Checksum["type"] = type === "COMPOSITE" ? "COMPOSITE" : "FULL_OBJECT";
  return { algorithm, checksumType, named: name !== undefined };
}

function checkAlgorithm(upload: Upload, algorithm: ChecksumAlgorithm): void {
  if (!upload.named || algorithm === upload.algorithm) return;
  const message = `Checksum Type mismatch occurred, expected checksum Type: ${upload.algorithm}, actual checksum Type: ${algorithm}`;
  throw new S3Error("InvalidRequest", message);
}

function partNumberOf(request: S3Request): number {
  const number = countOf(request, "partNumber", 0);
  if (number >= 1 && number <= maxPartNumber) return number;
  const message = `Part number must be an integer between 1 and ${maxPartNumber}, inclusive`;
  throw new S3Error("InvalidArgument", message, { facts: { ArgumentName: "partNumber" } });
}

function countOf(request: S3Request, name: string, absent: number): number {
  const value = request.query.get(name) ?? String(absent);
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw new S3Error("InvalidArgument", `${name} must be a whole number`, {
    facts: { ArgumentName: name },
  });
}
