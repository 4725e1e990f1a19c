import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const schema = `
  CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, created TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS versions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket TEXT NOT NULL,
    key BLOB NOT NULL,
    version TEXT NOT NULL UNIQUE,
    latest INTEGER NOT NULL,
    entry TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX IF NOT EXISTS latest_version ON versions (bucket, key) WHERE latest = 1;
  CREATE INDEX IF NOT EXISTS versions_of_key ON versions (bucket, key, sequence DESC);
  CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL, entry TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, entry TEXT NOT NULL,
    PRIMARY KEY (upload, number)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS outbox (id TEXT PRIMARY KEY, event TEXT NOT NULL) STRICT;
`;

/**
 * Opens the catalogue of a data directory. Keys are blobs because S3 orders them by their UTF-8
 * bytes. The exclusive lock keeps a second process from sweeping this one's files; SQLite drops
 * it with the process, so a kill -9 leaves nothing to clear. Throws when another process has it.
 */
export function openDatabase(dataDir: string): DatabaseSync {
  const database = new DatabaseSync(join(dataDir, "catalogue.sqlite"));
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;");
    database.exec(`PRAGMA synchronous = FULL; BEGIN IMMEDIATE; ${schema} COMMIT;`);
  } catch (error) {
    database.close();
    throw new Error(`The bucket data in ${dataDir} cannot be opened`, { cause: error });
  }
  return database;
}

/** Runs `change` as one transaction; nothing of it remains when it throws. */
export function transact<T>(database: DatabaseSync, change: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = change();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    // A full disk ends the transaction by itself.
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
