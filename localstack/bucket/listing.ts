import { ownerElement } from "./buckets.ts";
import { S3Error } from "./errors.ts";
import { type Answer, type Operation, requireBucket } from "./operation.ts";
import type { S3Request } from "./request.ts";
import { encodeUri } from "./uri.ts";
import type { Cursor, Version } from "./versions.ts";
import { element, xmlDocument } from "./xml.ts";

/** S3's largest page. */
const maxPage = 1000;

interface Query {
  readonly prefix: string;
  readonly delimiter: string;
  readonly limit: number;
  readonly name: (text: string) => string;
  readonly encoding: string | undefined;
}

interface Page {
  readonly rows: readonly Version[];
  readonly prefixes: readonly string[];
  /** The last thing on the page when there is more. */
  readonly last: Version | string | undefined;
}

interface Walk {
  readonly which: "latest" | "all";
  readonly start: Cursor;
}

/** ListObjectsV2. */
export function listObjects(operation: Operation): Answer {
  const { request } = operation;
  requireBucket(operation);
  if (request.query.get("list-type") !== "2") {
    throw new S3Error("NotImplemented", "Only ListObjectsV2 (list-type=2) is served.");
  }
  const query = queryOf(request);
  const token = request.query.get("continuation-token");
  const after = request.query.get("start-after");
  const start = token === undefined ? startAfter(after, undefined) : fromToken(token, query);
  const page = collect(operation, query, { which: "latest", start });
  const owner = request.query.get("fetch-owner") === "true";
  const next = page.last === undefined ? undefined : toToken(page.last);
  const xml = xmlDocument("ListBucketResult", [
    ...head(request, query, page),
    element("KeyCount", page.rows.length + page.prefixes.length),
    token === undefined ? undefined : element("ContinuationToken", token),
    after === undefined ? undefined : element("StartAfter", query.name(after)),
    next === undefined ? undefined : element("NextContinuationToken", next),
    ...page.rows.map((row) => contents("Contents", row, { query, owner })),
    ...commonPrefixes(query, page),
  ]);
  return { status: 200, xml };
}

/** ListObjectVersions. */
export function listVersions(operation: Operation): Answer {
  const { request, store } = operation;
  requireBucket(operation);
  const query = queryOf(request);
  const marker = request.query.get("key-marker");
  const id = request.query.get("version-id-marker");
  const inside =
    marker === undefined || id === undefined || id === ""
      ? undefined
      : store.versions.find(request.bucket, marker, id);
  const start: Cursor =
    inside === undefined
      ? startAfter(marker, query)
      : { from: Buffer.from(inside.key), before: inside.sequence };
  const page = collect(operation, query, { which: "all", start });
  const xml = xmlDocument("ListVersionsResult", [
    ...head(request, query, page),
    element("KeyMarker", query.name(marker ?? "")),
    element("VersionIdMarker", id ?? ""),
    ...nextMarkers(query, page.last),
    ...page.rows.map((row) => {
      const name = row.entry.kind === "marker" ? "DeleteMarker" : "Version";
      return contents(name, row, { query, owner: true, versioned: true });
    }),
    ...commonPrefixes(query, page),
  ]);
  return { status: 200, xml };
}

function queryOf({ query }: S3Request): Query {
  const limit = query.get("max-keys") ?? String(maxPage);
  const encoding = query.get("encoding-type");
  if (!/^\d{1,9}$/.test(limit)) {
    throw new S3Error(
      "InvalidArgument",
      "Provided max-keys not an integer or within integer range",
    );
  }
  if (encoding !== undefined && encoding !== "url") {
    throw new S3Error("InvalidArgument", "Invalid Encoding Method specified in Request");
  }
  return {
    prefix: query.get("prefix") ?? "",
    delimiter: query.get("delimiter") ?? "",
    limit: Math.min(Number(limit), maxPage),
    name: encoding === undefined ? (text) => text : encodeName,
    encoding,
  };
}

/** One page: items until the limit, and whether another would have followed. */
function collect(operation: Operation, query: Query, walk: Walk): Page {
  const items: (Version | string)[] = [];
  let more = false;
  for (const item of itemsOf(operation, query, walk)) {
    more = items.length >= query.limit;
    if (more) break;
    items.push(item);
  }
  return {
    rows: items.filter((item) => typeof item !== "string"),
    prefixes: items.filter((item) => typeof item === "string"),
    last: more ? items.at(-1) : undefined,
  };
}

/** Walks the index from the cursor, jumping over what a common prefix covers. */
function* itemsOf(
  { request, store }: Operation,
  query: Query,
  { which, start }: Walk,
): Iterable<Version | string> {
  const prefix = Buffer.from(query.prefix);
  let cursor = Buffer.compare(start.from, prefix) < 0 ? { from: prefix } : start;
  for (;;) {
    const row = store.versions.next(request.bucket, cursor, which);
    if (row === undefined || !row.key.startsWith(query.prefix)) return;
    cursor = after(row, which);
    if (which === "latest" && row.entry.kind === "marker") continue;
    const common = commonPrefix(row.key, query);
    if (common !== undefined) cursor = { from: behind(common) };
    yield common ?? row;
  }
}

function after(row: Version, which: "latest" | "all"): Cursor {
  const key = Buffer.from(row.key);
  return which === "all"
    ? { from: key, before: row.sequence }
    : { from: Buffer.concat([key, Buffer.from([0])]) };
}

function commonPrefix(key: string, { prefix, delimiter }: Query): string | undefined {
  if (delimiter === "") return undefined;
  const at = key.indexOf(delimiter, prefix.length);
  return at === -1 ? undefined : key.slice(0, at + delimiter.length);
}

/** The first key in byte order that does not start with `prefix`; UTF-8 never holds the byte 0xff. */
function behind(prefix: string): Buffer {
  return Buffer.concat([Buffer.from(prefix), Buffer.from([0xff])]);
}

/** The cursor behind a key, or behind all keys under it when `query` groups it as a common prefix. */
function startAfter(key: string | undefined, query: Query | undefined): Cursor {
  if (key === undefined || key === "") return { from: Buffer.alloc(0) };
  if (query !== undefined && commonPrefix(key, query) === key) return { from: behind(key) };
  return { from: Buffer.concat([Buffer.from(key), Buffer.from([0])]) };
}

function toToken(last: Version | string): string {
  return Buffer.from(typeof last === "string" ? last : last.key).toString("base64url");
}

function fromToken(token: string, query: Query): Cursor {
  const key = Buffer.from(token, "base64url");
  if (key.length === 0 || key.toString("base64url") !== token) {
    throw new S3Error("InvalidArgument", "The continuation token provided is incorrect");
  }
  return startAfter(key.toString("utf8"), query);
}

function head({ bucket, query: raw }: S3Request, query: Query, page: Page) {
  return [
    element("Name", bucket),
    element("Prefix", query.name(query.prefix)),
    raw.has("delimiter") ? element("Delimiter", query.name(query.delimiter)) : undefined,
    element("MaxKeys", query.limit),
    query.encoding === undefined ? undefined : element("EncodingType", query.encoding),
    element("IsTruncated", page.last !== undefined),
  ];
}

function contents(
  name: string,
  { key, version, latest, entry }: Version,
  { query, owner, versioned }: { query: Query; owner: boolean; versioned?: boolean },
): string {
  const object = entry.kind === "object" ? entry : undefined;
  const described =
    object === undefined
      ? []
      : [
          element("ETag", `"${object.etag}"`),
          element("ChecksumAlgorithm", object.checksum.algorithm.toUpperCase()),
          element("ChecksumType", object.checksum.type),
          element("Size", object.size),
          element("StorageClass", "STANDARD"),
        ];
  return element(name, [
    element("Key", query.name(key)),
    versioned ? element("VersionId", version) : undefined,
    versioned ? element("IsLatest", latest) : undefined,
    element("LastModified", entry.modified),
    ...described,
    owner ? ownerElement : undefined,
  ]);
}

function commonPrefixes(query: Query, { prefixes }: Page): readonly string[] {
  return prefixes.map((prefix) =>
    element("CommonPrefixes", [element("Prefix", query.name(prefix))]),
  );
}

function nextMarkers(query: Query, last: Page["last"]): readonly string[] {
  if (last === undefined) return [];
  if (typeof last === "string") return [element("NextKeyMarker", query.name(last))];
  return [
    element("NextKeyMarker", query.name(last.key)),
    element("NextVersionIdMarker", last.version),
  ];
}

/** S3's url encoding of names keeps slashes, so that prefixes stay readable. */
function encodeName(text: string): string {
  return text.split("/").map(encodeUri).join("/");
}
