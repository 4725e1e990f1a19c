import { createHash } from "node:crypto";
import { digestOf, readText, verifiedBody } from "./body.ts";
import { type Checksum, compositeChecksum } from "./checksums.ts";
import { checkWrite } from "./conditions.ts";
import { S3Error } from "./errors.ts";
import { requireUpload } from "./multipart.ts";
import { place } from "./objects-write.ts";
import type { Answer, Operation } from "./operation.ts";
import { parameter, parametersWith, type S3Request } from "./request.ts";
import type { Part, Upload } from "./uploads.ts";
import type { ObjectVersion } from "./versions.ts";
import { element, type XmlElement, xmlDocument } from "./xml.ts";
import { childText, malformed, parseXml } from "./xml-parser.ts";

/** S3's smallest part but the last. */
const minPartBytes = 5 * 1024 * 1024;
/** Ten thousand parts with ETag and checksum stay below this. */
const maxDocumentBytes = 8 * 1024 * 1024;

/**
 * CompleteMultipartUpload: the named parts in their order become one object. The part files stay
 * where they are, so completing is one transaction whatever the size.
 */
export async function completeUpload(operation: Operation): Promise<Answer> {
  const { request, authenticated, store } = operation;
  const upload = requireUpload(operation);
  checkWrite(request, store.versions.latest(request.bucket, request.key));
  // The x-amz-checksum headers of this request speak of the object, not of the document.
  const body = verifiedBody({ ...request, ...withoutChecksums(request) }, authenticated);
  const document = parseXml(await readText(body, maxDocumentBytes), "CompleteMultipartUpload");
  const parts = chooseParts(upload, store.uploads.parts(upload.id), document);
  const checksum = await checksumOf(operation, upload, parts);
  checkPromises(request, parts, checksum);
  const { version, freed } = finish(operation, { upload, parts, checksum });
  await store.blobs.remove(freed);
  return {
    status: 200,
    headers: { "x-amz-version-id": version.version },
    xml: result(request, version),
  };
}

function withoutChecksums(request: S3Request): Pick<S3Request, "headers" | "pairs"> {
  const other = ([name]: readonly [string, string]) =>
    !name.toLowerCase().startsWith("x-amz-checksum-") &&
    name.toLowerCase() !== "x-amz-sdk-checksum-algorithm";
  return {
    headers: new Map([...request.headers].filter(other)),
    pairs: request.pairs.filter(other),
  };
}

function chooseParts(
  upload: Upload,
  uploaded: readonly Part[],
  document: XmlElement,
): readonly Part[] {
  const byNumber = new Map(uploaded.map((part) => [part.number, part]));
  if (document.children.length === 0) throw malformed();
  let previous = 0;
  const parts = document.children.map((wanted) => {
    const number = Number(childText(wanted, "PartNumber") ?? Number.NaN);
    if (wanted.name !== "Part" || !Number.isInteger(number)) throw malformed();
    if (number <= previous) {
      const message =
        "The list of parts was not in ascending order. Parts must be ordered by part number.";
      throw new S3Error("InvalidPartOrder", message);
    }
    previous = number;
    return matchPart(upload, byNumber.get(number), wanted);
  });
  const small = parts.slice(0, -1).find(({ segment }) => segment.size < minPartBytes);
  if (small === undefined) return parts;
  const message = "Your proposed upload is smaller than the minimum allowed size";
  throw new S3Error("EntityTooSmall", message, {
    facts: { PartNumber: String(small.number), MinSizeAllowed: String(minPartBytes) },
  });
}

function matchPart(upload: Upload, part: Part | undefined, wanted: XmlElement): Part {
  const etag = childText(wanted, "ETag")?.replace(/^"(.*)"$/, "$1");
  if (part === undefined || etag !== part.etag) throw invalidPart();
  const { algorithm, value } = part.checksum;
  const given = childText(wanted, `Checksum${algorithm.toUpperCase()}`);
  if (given === undefined && upload.named && upload.checksumType === "COMPOSITE") {
    const message = `The upload was created using a ${algorithm} checksum. The complete request must include the checksum for each part. It was missing for part ${part.number} in the request.`;
    throw new S3Error("InvalidRequest", message);
  }
  if (given !== undefined && given !== value) throw invalidPart();
  return part;
}

function invalidPart(): S3Error {
  const message =
    "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
  return new S3Error("InvalidPart", message);
}

async function checksumOf(
  { store }: Operation,
  { algorithm, checksumType }: Upload,
  parts: readonly Part[],
): Promise<Checksum> {
  if (checksumType === "COMPOSITE") {
    return compositeChecksum(
      algorithm,
      parts.map(({ checksum }) => checksum.value),
    );
  }
  const segments = parts.map(({ segment }) => segment);
  const chunks = store.blobs.read(segments, 0, sizeOf(parts) - 1);
  return { algorithm, value: await digestOf(chunks, algorithm), type: "FULL_OBJECT" };
}

function checkPromises(request: S3Request, parts: readonly Part[], checksum: Checksum): void {
  const promised = parametersWith(request, "x-amz-checksum-").get(checksum.algorithm);
  if (promised !== undefined && promised !== checksum.value) {
    const name = checksum.algorithm.toUpperCase();
    const message = `The ${name} you specified did not match the calculated checksum.`;
    throw new S3Error("BadDigest", message);
  }
  const size = parameter(request, "x-amz-mp-object-size");
  if (size !== undefined && Number(size) !== sizeOf(parts)) {
    const message = "The provided 'x-amz-mp-object-size' header does not match what was computed.";
    throw new S3Error("InvalidRequest", message);
  }
}

function finish(
  operation: Operation,
  { upload, parts, checksum }: { upload: Upload; parts: readonly Part[]; checksum: Checksum },
) {
  const { store } = operation;
  const segments = parts.map(({ segment }) => segment);
  const used = new Set(segments.map(({ blob }) => blob));
  const entry = {
    size: sizeOf(parts),
    etag: compositeEtag(parts),
    segments,
    multipart: true,
    checksum,
    ...upload.stored,
    tags: upload.tags,
  };
  let freed: Part["segment"][] = [];
  const version = place(operation, entry, "CompleteMultipartUpload", () => {
    requireUpload(operation);
    const present = store.uploads.parts(upload.id).map(({ segment }) => segment);
    // A part may have been replaced while the checksum was being computed.
    if (present.filter(({ blob }) => used.has(blob)).length !== used.size) throw invalidPart();
    freed = present.filter(({ blob }) => !used.has(blob));
    store.uploads.drop(upload.id);
  });
  return { version, freed };
}

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { segment }) => sum + segment.size, 0);
}

function compositeEtag(parts: readonly Part[]): string {
  const hash = createHash("md5");
  for (const { etag } of parts) hash.update(Buffer.from(etag, "hex"));
  return `${hash.digest("hex")}-${parts.length}`;
}

function result({ bucket, key }: S3Request, version: ObjectVersion): string {
  const { algorithm, value, type } = version.entry.checksum;
  return xmlDocument("CompleteMultipartUploadResult", [
    element("Location", `/${bucket}/${key}`),
    element("Bucket", bucket),
    element("Key", key),
    element("ETag", `"${version.entry.etag}"`),
    element(`Checksum${algorithm.toUpperCase()}`, value),
    element("ChecksumType", type),
  ]);
}
