import { readText, verifiedBody } from "./body.ts";
import { type Answer, type Operation, placeOf, requireObject } from "./operation.ts";
import { parseTagDocument, tagDocument } from "./tags.ts";
import type { ObjectVersion, Tags } from "./versions.ts";

/** Ten tags of the longest keys and values, each character escaped, stay below this. */
const maxDocumentBytes = 64 * 1024;

/** GetObjectTagging. */
export function getTagging(operation: Operation): Answer {
  const { entry, version } = requireObject(operation, placeOf(operation.request));
  return { status: 200, headers: { "x-amz-version-id": version }, xml: tagDocument(entry.tags) };
}

/** PutObjectTagging. */
export async function putTagging(operation: Operation): Promise<Answer> {
  requireObject(operation, placeOf(operation.request));
  const body = verifiedBody(operation.request, operation.authenticated);
  const tags = parseTagDocument(await readText(body, maxDocumentBytes));
  const { version } = replaceTags(operation, tags, "Object Tags Added");
  return { status: 200, headers: { "x-amz-version-id": version } };
}

/** DeleteObjectTagging. */
export function deleteTagging(operation: Operation): Answer {
  const { version } = replaceTags(operation, [], "Object Tags Deleted");
  return { status: 204, headers: { "x-amz-version-id": version } };
}

function replaceTags(
  operation: Operation,
  tags: Tags,
  type: "Object Tags Added" | "Object Tags Deleted",
): ObjectVersion {
  const { request, store } = operation;
  return store.commit((emit) => {
    const found = requireObject(operation, placeOf(request));
    store.versions.replace(found, { ...found.entry, tags });
    emit(found, { type, request });
    return found;
  });
}
