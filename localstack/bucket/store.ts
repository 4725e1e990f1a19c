import { randomBytes, randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import type { DatabaseSync } from "node:sqlite";
import type { BucketCredentials } from "./authenticate.ts";
import { type Blobs, type OpenBlobFile, openBlobs } from "./blobs.ts";
import { openDatabase, transact } from "./database.ts";
import { type BucketEvent, bucketEvent, type Occasion } from "./events.ts";
import { type OnBucketEvent, openOutbox } from "./outbox.ts";
import { openUploads, type Uploads } from "./uploads.ts";
import { openVersions, type Version, type Versions } from "./versions.ts";

/** How a bucket store is set up. */
export interface BucketOptions {
  /** Where objects and their catalogue live; created when absent. One process at a time. */
  readonly dataDir: string;
  /** Buckets that exist from the start. */
  readonly buckets: readonly string[];
  readonly credentials: BucketCredentials;
  readonly region: string;
  readonly now?: () => Date;
  readonly onEvent?: OnBucketEvent;
  /** The largest body of one request in bytes; S3's own limit of 5 GiB when absent. */
  readonly maxObjectBytes?: number;
  /** Opens files for writing; node:fs when absent. */
  readonly openFile?: OpenBlobFile;
}

/** Tells of a version that the running transaction changes. */
type Emit = (version: Version, occasion: Occasion) => void;

/** The buckets' names and times of creation (ISO). */
interface Registry {
  add(name: string, created: string): void;
  find(name: string): { name: string; created: string } | undefined;
  all(): readonly { name: string; created: string }[];
  remove(name: string): void;
}

/** Everything an operation works on. */
export interface BucketStore {
  readonly credentials: BucketCredentials;
  readonly region: string;
  readonly maxObjectBytes: number;
  readonly now: () => Date;
  /** A fresh version or upload id of 32 characters, as long as S3's. */
  readonly newId: () => string;
  readonly registry: Registry;
  readonly versions: Versions;
  readonly uploads: Uploads;
  readonly blobs: Blobs;
  /** Runs one transaction; the events it emits are stored with it and delivered after it. */
  commit<T>(change: (emit: Emit) => T): T;
  /** Waits for deliveries under way and closes the catalogue. */
  close(): Promise<void>;
}

const maxPutBytes = 5 * 1024 ** 3;

/**
 * Opens the store in `dataDir`, clears what a crash left half written and redelivers events that
 * were not finished. Throws when another process has it open.
 */
export async function openBucketStore(options: BucketOptions): Promise<BucketStore> {
  await mkdir(options.dataDir, { recursive: true });
  const database = openDatabase(options.dataDir);
  const now = options.now ?? (() => new Date());
  const registry = openRegistry(database);
  for (const name of options.buckets) registry.add(name, now().toISOString());
  const versions = openVersions(database);
  const uploads = openUploads(database);
  const blobs = await openBlobs(options.dataDir, options.openFile);
  await blobs.sweep(new Set([...versions.blobs(), ...uploads.blobs()]));
  const outbox = openOutbox(database, options.onEvent);
  outbox.redeliver();
  return {
    credentials: options.credentials,
    region: options.region,
    maxObjectBytes: options.maxObjectBytes ?? maxPutBytes,
    now,
    newId: () => randomBytes(24).toString("base64url"),
    registry,
    versions,
    uploads,
    blobs,
    commit: (change) => {
      const events: BucketEvent[] = [];
      const emit: Emit = (version, occasion) => {
        const from = { id: randomUUID(), now: now(), region: options.region };
        events.push(bucketEvent(version, occasion, from));
      };
      const result = transact(database, () => {
        const made = change(emit);
        for (const event of events) outbox.save(event);
        return made;
      });
      for (const event of events) outbox.deliver(event);
      return result;
    },
    close: async () => {
      await outbox.settled();
      database.close();
    },
  };
}

function openRegistry(database: DatabaseSync): Registry {
  const add = database.prepare("INSERT OR IGNORE INTO buckets (name, created) VALUES (?, ?)");
  const find = database.prepare("SELECT name, created FROM buckets WHERE name = ?");
  const all = database.prepare("SELECT name, created FROM buckets ORDER BY name");
  const remove = database.prepare("DELETE FROM buckets WHERE name = ?");
  const toBucket = (row: Record<string, unknown>) => ({
    name: String(row["name"]),
    created: String(row["created"]),
  });
  return {
    add: (name, created) => void add.run(name, created),
    find: (name) => {
      const row = find.get(name);
      return row === undefined ? undefined : toBucket(row);
    },
    all: () => all.all().map(toBucket),
    remove: (name) => void remove.run(name),
  };
}
