import {
  createBucket,
  deleteBucket,
  getLocation,
  getVersioning,
  headBucket,
  listBuckets,
  putVersioning,
} from "./buckets.ts";
import { deleteObject, deleteObjects } from "./deletes.ts";
import { S3Error } from "./errors.ts";
import { listObjects, listVersions } from "./listing.ts";
import { abortUpload, createUpload, listParts, listUploads, uploadPart } from "./multipart.ts";
import { completeUpload } from "./multipart-complete.ts";
import { getObject } from "./objects-read.ts";
import { copyObject, putObject } from "./objects-write.ts";
import type { Operate } from "./operation.ts";
import { parameter, type S3Request } from "./request.ts";
import { deleteTagging, getTagging, putTagging } from "./tagging.ts";

const routes: ReadonlyMap<string, Operate> = new Map<string, Operate>([
  ["GET service", listBuckets],
  ["GET bucket", listObjects],
  ["GET bucket?location", getLocation],
  ["GET bucket?uploads", listUploads],
  ["GET bucket?versioning", getVersioning],
  ["GET bucket?versions", listVersions],
  ["HEAD bucket", headBucket],
  ["PUT bucket", createBucket],
  ["PUT bucket?versioning", putVersioning],
  ["POST bucket?delete", deleteObjects],
  ["DELETE bucket", deleteBucket],
  ["GET object", getObject],
  ["GET object?tagging", getTagging],
  ["GET object?uploadId", listParts],
  ["HEAD object", getObject],
  ["PUT object", putObject],
  ["PUT object?copy", copyObject],
  ["PUT object?tagging", putTagging],
  ["PUT object?uploadId", uploadPart],
  ["POST object?uploads", createUpload],
  ["POST object?uploadId", completeUpload],
  ["DELETE object", deleteObject],
  ["DELETE object?tagging", deleteTagging],
  ["DELETE object?uploadId", abortUpload],
]);

/**
 * Query parameters that turn a request into another operation. One that is known to S3 but not
 * served must be refused: taking `PUT ?acl` for a plain PUT would overwrite the object with XML.
 */
const subresources = [
  "abac accelerate acl analytics annotation attributes cors delete encryption intelligent-tiering",
  "inventory legal-hold lifecycle location logging metadataConfiguration metadataTable",
  "metadataInventoryTable metadataJournalTable metrics notification object-lock ownershipControls",
  "policy policyStatus publicAccessBlock renameObject replication requestPayment restore retention",
  "select session tagging torrent uploads uploadId versioning versions website",
].flatMap((line) => line.split(" "));

/** Finds the operation of a request. Throws NotImplemented for what S3 has and this server has not. */
export function routeOf(request: S3Request): Operate {
  const found = routes.get(routeName(request));
  if (found !== undefined) return found;
  const message = "A header or query you provided implies functionality that is not implemented";
  throw new S3Error("NotImplemented", message, { facts: { Operation: routeName(request) } });
}

function routeName(request: S3Request): string {
  const asked = subresources.filter((name) => request.query.has(name));
  const copies = parameter(request, "x-amz-copy-source") !== undefined;
  const names = copies && request.method === "PUT" ? ["copy", ...asked] : asked;
  const level = `${request.method} ${levelOf(request)}`;
  return names.length === 0 ? level : `${level}?${names.join("&")}`;
}

function levelOf({ bucket, key }: S3Request): "service" | "bucket" | "object" {
  if (key !== "") return "object";
  return bucket === "" ? "service" : "bucket";
}
