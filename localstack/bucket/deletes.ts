import type { Segment } from "./blobs.ts";
import { readText, verifiedBody } from "./body.ts";
import { checkWrite } from "./conditions.ts";
import { type S3Error, toS3Error } from "./errors.ts";
import { type Answer, type Operation, requireBucket } from "./operation.ts";
import type { Version } from "./versions.ts";
import { element, xmlDocument } from "./xml.ts";
import { childText, malformed, parseXml } from "./xml-parser.ts";

/** S3's limit for one DeleteObjects request. */
const maxKeys = 1000;
/** A thousand keys of 1024 bytes, escaped, with version ids. */
const maxDocumentBytes = 8 * 1024 * 1024;

interface Target {
  readonly key: string;
  readonly version: string | undefined;
}

interface Deleted {
  /** The version that was made (a marker) or removed; undefined when there was nothing to remove. */
  readonly version: Version | undefined;
  readonly marker: boolean;
  readonly freed: readonly Segment[];
}

/** DeleteObject: a marker on top, or one version removed for good. */
export async function deleteObject(operation: Operation): Promise<Answer> {
  const { request, store } = operation;
  requireBucket(operation);
  const target = { key: request.key, version: request.query.get("versionId") };
  const { version, marker, freed } = remove(operation, target);
  await store.blobs.remove(freed);
  const id = version?.version ?? target.version;
  return {
    status: 204,
    headers: {
      ...(marker ? { "x-amz-delete-marker": "true" } : {}),
      ...(id === undefined ? {} : { "x-amz-version-id": id }),
    },
  };
}

/** DeleteObjects: each key by itself, as S3 does; one failure does not undo the others. */
export async function deleteObjects(operation: Operation): Promise<Answer> {
  const { request, authenticated, store } = operation;
  requireBucket(operation);
  const text = await readText(verifiedBody(request, authenticated), maxDocumentBytes);
  const root = parseXml(text, "Delete");
  const quiet = childText(root, "Quiet") === "true";
  const targets = root.children.filter(({ name }) => name === "Object").map(targetOf);
  if (targets.length === 0 || targets.length > maxKeys) throw malformed();
  const results: string[] = [];
  for (const target of targets) {
    try {
      const deleted = remove(operation, target);
      await store.blobs.remove(deleted.freed);
      if (!quiet) results.push(deletedElement(target, deleted));
    } catch (error) {
      results.push(errorElement(target, toS3Error(error)));
    }
  }
  return { status: 200, xml: xmlDocument("DeleteResult", results) };
}

function targetOf(object: Parameters<typeof childText>[0]): Target {
  const key = childText(object, "Key");
  if (key === undefined || key === "") throw malformed();
  return { key, version: childText(object, "VersionId") };
}

function remove({ request, store }: Operation, { key, version }: Target): Deleted {
  const { bucket } = request;
  const { versions } = store;
  return store.commit((emit) => {
    checkWrite(request, versions.latest(bucket, key));
    const reason = "DeleteObject";
    if (version === undefined) {
      const entry = { kind: "marker", modified: store.now().toISOString() } as const;
      const made = versions.push({ bucket, key, version: store.newId() }, entry);
      const deletion = "Delete Marker Created";
      emit(made, { type: "Object Deleted", request, reason, deletion });
      return { version: made, marker: true, freed: [] };
    }
    const found = versions.find(bucket, key, version);
    if (found === undefined) return { version: undefined, marker: false, freed: [] };
    versions.drop(found);
    emit(found, { type: "Object Deleted", request, reason, deletion: "Permanently Deleted" });
    const isMarker = found.entry.kind === "marker";
    return {
      version: found,
      marker: isMarker,
      freed: found.entry.kind === "object" ? found.entry.segments : [],
    };
  });
}

function deletedElement(target: Target, { version, marker }: Deleted): string {
  const id = version?.version;
  return element("Deleted", [
    element("Key", target.key),
    target.version === undefined ? undefined : element("VersionId", target.version),
    marker ? element("DeleteMarker", true) : undefined,
    marker && id !== undefined ? element("DeleteMarkerVersionId", id) : undefined,
  ]);
}

function errorElement(target: Target, error: S3Error): string {
  return element("Error", [
    element("Key", target.key),
    target.version === undefined ? undefined : element("VersionId", target.version),
    element("Code", error.code),
    element("Message", error.message),
  ]);
}
