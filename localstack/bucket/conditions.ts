import { S3Error } from "./errors.ts";
import { parameter, type S3Request } from "./request.ts";
import type { ObjectEntry, Version } from "./versions.ts";

/** The four preconditions of HTTP, as sent. */
interface Conditions {
  readonly match: string | undefined;
  readonly noneMatch: string | undefined;
  readonly modifiedSince: string | undefined;
  readonly unmodifiedSince: string | undefined;
}

/**
 * Checks the preconditions of a read. If-Match beats If-Unmodified-Since and If-None-Match beats
 * If-Modified-Since (RFC 9110 §13.2.2). Throws PreconditionFailed, or NotModified with the ETag.
 */
export function checkRead(request: S3Request, entry: ObjectEntry): void {
  const conditions = {
    match: request.headers.get("if-match"),
    noneMatch: request.headers.get("if-none-match"),
    modifiedSince: request.headers.get("if-modified-since"),
    unmodifiedSince: request.headers.get("if-unmodified-since"),
  };
  if (!mayUse(conditions, entry)) throw failed();
  if (!isUnchanged(conditions, entry)) return;
  throw new S3Error("NotModified", "Not Modified", { headers: { etag: `"${entry.etag}"` } });
}

/** Checks the x-amz-copy-source-if-* preconditions of a copy. Throws PreconditionFailed. */
export function checkCopySource(request: S3Request, entry: ObjectEntry): void {
  const value = (name: string) => parameter(request, `x-amz-copy-source-if-${name}`);
  const conditions = {
    match: value("match"),
    noneMatch: value("none-match"),
    modifiedSince: value("modified-since"),
    unmodifiedSince: value("unmodified-since"),
  };
  if (!mayUse(conditions, entry) || isUnchanged(conditions, entry)) throw failed();
}

/**
 * Checks a conditional write against the newest version. To be called inside the transaction that
 * writes, so that of many writers exactly one finds its condition true.
 * Throws PreconditionFailed, NoSuchKey, or NotImplemented for conditions S3 does not take on writes.
 */
export function checkWrite(request: S3Request, latest: Version | undefined): void {
  const match = request.headers.get("if-match");
  const noneMatch = request.headers.get("if-none-match");
  const entry = latest?.entry.kind === "object" ? latest.entry : undefined;
  if (noneMatch !== undefined && (noneMatch !== "*" || match !== undefined)) {
    const message =
      "A header you provided implies functionality that is not implemented: only If-None-Match: * is taken on writes.";
    throw new S3Error("NotImplemented", message, { facts: { Header: "If-None-Match" } });
  }
  if (noneMatch === "*" && entry !== undefined) throw failed();
  if (match === undefined) return;
  if (entry === undefined) {
    throw new S3Error("NoSuchKey", "The specified key does not exist.");
  }
  if (!names(match, entry.etag)) throw failed();
}

function mayUse({ match, unmodifiedSince }: Conditions, entry: ObjectEntry): boolean {
  if (match !== undefined) return names(match, entry.etag);
  return unmodifiedSince === undefined || !isNewer(entry, unmodifiedSince);
}

function isUnchanged({ noneMatch, modifiedSince }: Conditions, entry: ObjectEntry): boolean {
  if (noneMatch !== undefined) return names(noneMatch, entry.etag);
  return modifiedSince !== undefined && !isNewer(entry, modifiedSince);
}

function names(list: string, etag: string): boolean {
  const tags = list.split(",").map((tag) => tag.trim().replace(/^(?:W\/)?"(.*)"$/, "$1"));
  return tags.includes("*") || tags.includes(etag);
}

/** HTTP dates have no fractions, so neither may the comparison. An unreadable date never holds. */
function isNewer(entry: ObjectEntry, date: string): boolean {
  const limit = Date.parse(date);
  return Number.isNaN(limit) || Math.floor(Date.parse(entry.modified) / 1000) * 1000 > limit;
}

function failed(): S3Error {
  const message = "At least one of the pre-conditions you specified did not hold";
  return new S3Error("PreconditionFailed", message);
}
