import type { DatabaseSync } from "node:sqlite";
import type { Segment } from "./blobs.ts";
import type { Checksum, ChecksumAlgorithm } from "./checksums.ts";
import type { StoredHeaders } from "./object-headers.ts";
import type { Tags } from "./versions.ts";

/** A multipart upload that was begun. */
export interface Upload {
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  /** ISO time. */
  readonly initiated: string;
  readonly stored: StoredHeaders;
  readonly tags: Tags;
  readonly algorithm: ChecksumAlgorithm;
  readonly checksumType: Checksum["type"];
  /** Whether the client named the algorithm; then every part has to use it. */
  readonly named: boolean;
}

/** One uploaded part. */
export interface Part {
  readonly number: number;
  readonly segment: Segment;
  readonly etag: string;
  readonly checksum: Checksum;
  readonly modified: string;
}

/** The catalogue of uploads under way. */
export interface Uploads {
  add(upload: Upload): void;
  find(id: string): Upload | undefined;
  of(bucket: string): readonly Upload[];
  /** Parts in ascending order of their numbers. */
  parts(id: string): readonly Part[];
  /** Stores a part and returns the one it replaces. Inside a transaction. */
  putPart(id: string, part: Part): Part | undefined;
  /** Forgets the upload and its parts. Inside a transaction. */
  drop(id: string): void;
  /** The names of all blobs that some part holds. */
  blobs(): Iterable<string>;
}

/** The catalogue over an open database. */
export function openUploads(database: DatabaseSync): Uploads {
  const insert = database.prepare(
    "INSERT INTO uploads (id, bucket, key, entry) VALUES (?, ?, ?, ?)",
  );
  const find = database.prepare("SELECT entry FROM uploads WHERE id = ?");
  const of = database.prepare("SELECT entry FROM uploads WHERE bucket = ? ORDER BY key, id");
  const parts = database.prepare("SELECT entry FROM parts WHERE upload = ? ORDER BY number");
  const part = database.prepare("SELECT entry FROM parts WHERE upload = ? AND number = ?");
  const put = database.prepare(
    "INSERT OR REPLACE INTO parts (upload, number, entry) VALUES (?, ?, ?)",
  );
  const dropUpload = database.prepare("DELETE FROM uploads WHERE id = ?");
  const dropParts = database.prepare("DELETE FROM parts WHERE upload = ?");
  const allParts = database.prepare("SELECT entry FROM parts");
  return {
    add: (upload) => {
      const key = Buffer.from(upload.key, "utf8");
      insert.run(upload.id, upload.bucket, key, JSON.stringify(upload));
    },
    find: (id) => uploadOf(find.get(id)),
    of: (bucket) => of.all(bucket).flatMap((row) => uploadOf(row) ?? []),
    parts: (id) => parts.all(id).flatMap((row) => partOf(row) ?? []),
    putPart: (id, added) => {
      const replaced = partOf(part.get(id, added.number));
      put.run(id, added.number, JSON.stringify(added));
      return replaced;
    },
    drop: (id) => {
      dropParts.run(id);
      dropUpload.run(id);
    },
    *blobs() {
      for (const row of allParts.iterate()) {
        const found = partOf(row);
        if (found !== undefined) yield found.segment.blob;
      }
    },
  };
}

function uploadOf(row: Record<string, unknown> | undefined): Upload | undefined {
  return row === undefined ? undefined : (JSON.parse(String(row["entry"])) as Upload);
}

function partOf(row: Record<string, unknown> | undefined): Part | undefined {
  return row === undefined ? undefined : (JSON.parse(String(row["entry"])) as Part);
}
