import type { DatabaseSync } from "node:sqlite";
import type { Segment } from "./blobs.ts";
import type { Checksum } from "./checksums.ts";

/** Tags in the order they were set. */
export type Tags = readonly (readonly [string, string])[];

/** One stored object version. */
export interface ObjectEntry {
  readonly kind: "object";
  readonly size: number;
  /** Without its quotes. */
  readonly etag: string;
  /** ISO time. */
  readonly modified: string;
  readonly segments: readonly Segment[];
  /** Whether the segments are the parts of a multipart upload. */
  readonly multipart: boolean;
  readonly checksum: Checksum;
  /** Standard headers to answer with, lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** User metadata without the x-amz-meta- prefix. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: Tags;
}

/** What a delete leaves on top of a key's versions. */
export interface MarkerEntry {
  readonly kind: "marker";
  readonly modified: string;
}

/** One row of a key's history. `sequence` grows with every version of the store. */
export interface Version {
  readonly bucket: string;
  readonly key: string;
  readonly version: string;
  readonly sequence: number;
  readonly latest: boolean;
  readonly entry: ObjectEntry | MarkerEntry;
}

/** A version that holds an object. */
export type ObjectVersion = Version & { readonly entry: ObjectEntry };

interface Row {
  readonly bucket: string;
  readonly key: Uint8Array;
  readonly version: string;
  readonly sequence: number;
  readonly latest: number;
  readonly entry: string;
}

/** Where a listing goes on: the first key in bytes, and below which sequence when inside a key. */
export interface Cursor {
  readonly from: Buffer;
  readonly before?: number;
}

/** The catalogue of object versions; every call is one SQLite statement or runs inside `transact`. */
export interface Versions {
  latest(bucket: string, key: string): Version | undefined;
  find(bucket: string, key: string, version: string): Version | undefined;
  /** Puts a new newest version on top. Inside a transaction. */
  push(at: { bucket: string; key: string; version: string }, entry: Version["entry"]): Version;
  /** Forgets one version for good and makes the next one the newest. Inside a transaction. */
  drop(version: Version): void;
  replace(version: Version, entry: ObjectEntry): void;
  /** The first row at or behind the cursor: of newest versions only, or of all in listing order. */
  next(bucket: string, cursor: Cursor, which: "latest" | "all"): Version | undefined;
  /** The names of all blobs that some version holds. */
  blobs(): Iterable<string>;
}

/** The catalogue over an open database. */
export function openVersions(database: DatabaseSync): Versions {
  const prepared = prepare(database);
  return {
    latest: (bucket, key) => versionOf(prepared.latest.get(bucket, bytes(key))),
    find: (bucket, key, version) => versionOf(prepared.find.get(bucket, bytes(key), version)),
    push: ({ bucket, key, version }, entry) => {
      prepared.demote.run(bucket, bytes(key));
      const { lastInsertRowid } = prepared.insert.run(
        bucket,
        bytes(key),
        version,
        JSON.stringify(entry),
      );
      return { bucket, key, version, sequence: Number(lastInsertRowid), latest: true, entry };
    },
    drop: ({ bucket, key, version }) => {
      prepared.remove.run(version);
      prepared.promote.run(bucket, bytes(key), bucket, bytes(key));
    },
    replace: ({ version }, entry) => void prepared.replace.run(JSON.stringify(entry), version),
    next: (bucket, { from, before }, which) => {
      if (which === "latest") return versionOf(prepared.nextLatest.get(bucket, from));
      if (before === undefined) return versionOf(prepared.nextKey.get(bucket, from));
      const older = versionOf(prepared.nextOlder.get(bucket, from, before));
      return older ?? versionOf(prepared.nextKey.get(bucket, successor(from)));
    },
    *blobs() {
      for (const row of prepared.entries.iterate()) {
        const entry = JSON.parse(String(row["entry"])) as Version["entry"];
        if (entry.kind === "object") for (const { blob } of entry.segments) yield blob;
      }
    },
  };
}

/** The smallest key behind `key` in byte order. */
function successor(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.from([0])]);
}

function prepare(database: DatabaseSync) {
  const all = "SELECT * FROM versions WHERE bucket = ? AND key";
  return {
    latest: database.prepare(`${all} = ? AND latest = 1`),
    find: database.prepare(`${all} = ? AND version = ?`),
    demote: database.prepare(
      "UPDATE versions SET latest = 0 WHERE bucket = ? AND key = ? AND latest = 1",
    ),
    insert: database.prepare(
      "INSERT INTO versions (bucket, key, version, latest, entry) VALUES (?, ?, ?, 1, ?)",
    ),
    remove: database.prepare("DELETE FROM versions WHERE version = ?"),
    promote: database.prepare(
      "UPDATE versions SET latest = 1 WHERE sequence = (SELECT max(sequence) FROM versions WHERE bucket = ? AND key = ?) AND bucket = ? AND key = ?",
    ),
    replace: database.prepare("UPDATE versions SET entry = ? WHERE version = ?"),
    nextLatest: database.prepare(`${all} >= ? AND latest = 1 ORDER BY key LIMIT 1`),
    nextKey: database.prepare(`${all} >= ? ORDER BY key, sequence DESC LIMIT 1`),
    nextOlder: database.prepare(`${all} = ? AND sequence < ? ORDER BY sequence DESC LIMIT 1`),
    entries: database.prepare("SELECT entry FROM versions"),
  };
}

function bytes(key: string): Buffer {
  return Buffer.from(key, "utf8");
}

function versionOf(found: Record<string, unknown> | undefined): Version | undefined {
  if (found === undefined) return undefined;
  const row = found as unknown as Row;
  return {
    bucket: row.bucket,
    key: Buffer.from(row.key).toString("utf8"),
    version: row.version,
    sequence: row.sequence,
    latest: row.latest === 1,
    entry: JSON.parse(row.entry) as Version["entry"],
  };
}
