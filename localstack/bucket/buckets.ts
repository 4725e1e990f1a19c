import { readText, verifiedBody } from "./body.ts";
import { S3Error } from "./errors.ts";
import { account } from "./events.ts";
import { type Answer, type Operation, requireBucket } from "./operation.ts";
import { element, xmlDocument } from "./xml.ts";
import { childText, parseXml } from "./xml-parser.ts";

const maxDocumentBytes = 64 * 1024;

/** The owner element of listings. */
export const ownerElement = element("Owner", [element("ID", account)]);

/** ListBuckets. */
export function listBuckets({ store }: Operation): Answer {
  const buckets = store.registry
    .all()
    .map(({ name, created }) =>
      element("Bucket", [element("Name", name), element("CreationDate", created)]),
    );
  const xml = xmlDocument("ListAllMyBucketsResult", [ownerElement, element("Buckets", buckets)]);
  return { status: 200, xml };
}

/** HeadBucket. */
export function headBucket(operation: Operation): Answer {
  requireBucket(operation);
  return { status: 200, headers: { "x-amz-bucket-region": operation.store.region } };
}

/** CreateBucket. A location constraint in the body changes nothing: there is one region. */
export function createBucket({ request, store }: Operation): Answer {
  const { bucket } = request;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) || bucket.includes("..")) {
    throw new S3Error("InvalidBucketName", "The specified bucket is not valid.");
  }
  return store.commit(() => {
    if (store.registry.find(bucket) !== undefined) {
      const message =
        "Your previous request to create the named bucket succeeded and you already own it.";
      throw new S3Error("BucketAlreadyOwnedByYou", message);
    }
    store.registry.add(bucket, store.now().toISOString());
    return { status: 200, headers: { location: `/${bucket}` } };
  });
}

/** DeleteBucket; refused while any version, marker or upload is left. */
export function deleteBucket(operation: Operation): Answer {
  const { request, store } = operation;
  const { bucket } = request;
  return store.commit(() => {
    requireBucket(operation);
    const left = store.versions.next(bucket, { from: Buffer.alloc(0) }, "all");
    if (left !== undefined || store.uploads.of(bucket).length > 0) {
      const message =
        "The bucket you tried to delete is not empty. You must delete all versions in the bucket.";
      throw new S3Error("BucketNotEmpty", message);
    }
    store.registry.remove(bucket);
    return { status: 204 };
  });
}

/** GetBucketLocation. S3 leaves the element empty for us-east-1. */
export function getLocation(operation: Operation): Answer {
  requireBucket(operation);
  const { region } = operation.store;
  const inner = region === "us-east-1" ? [] : [region];
  return { status: 200, xml: xmlDocument("LocationConstraint", inner) };
}

/** GetBucketVersioning: always on. */
export function getVersioning(operation: Operation): Answer {
  requireBucket(operation);
  const xml = xmlDocument("VersioningConfiguration", [element("Status", "Enabled")]);
  return { status: 200, xml };
}

/** PutBucketVersioning; anything but Enabled is refused rather than ignored. */
export async function putVersioning(operation: Operation): Promise<Answer> {
  requireBucket(operation);
  const body = verifiedBody(operation.request, operation.authenticated);
  const root = parseXml(await readText(body, maxDocumentBytes), "VersioningConfiguration");
  if (childText(root, "Status") === "Enabled") return { status: 200 };
  throw new S3Error("NotImplemented", "Versioning is always enabled here.");
}
