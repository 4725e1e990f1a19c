import { createHash } from "node:crypto";
import type { IngestBucket } from "../../functions/ingest/ingest.ts";
import type { ObjectFacts } from "../../functions/parts/bucket.ts";
import type { Faults } from "./faults.ts";
import type { Random } from "./random.ts";
import type { Caller } from "./table.ts";
import type { Time } from "./time.ts";

/** One version of an object, as whoever hears of it is told. */
export interface ObjectVersion {
  readonly key: string;
  readonly version: string;
}

type Tags = Readonly<Record<string, string>>;

interface Stored {
  readonly version: string;
  readonly etag: string;
  readonly bytes: Buffer;
  tags: Tags;
}

/** What a bucket is made of. */
export interface BucketParts {
  readonly time: Time;
  readonly faults: Faults;
  readonly random: Random;
  /** Hears of every put and every tagging by users. */
  readonly changed: (object: ObjectVersion) => void;
}

/** S3 is not to be reached, or slows callers down; what was asked may have been done. */
export class BucketUnavailable extends Error {}

const never = <Value>(): Promise<Value> => new Promise(() => undefined);
/** Longest usual time of one call, ms. */
const callMs = 40;

/** The image bucket of a run: versions, tags, and the faults of a network before it. */
export class SimBucket {
  readonly #parts: BucketParts;
  readonly #objects = new Map<string, Stored[]>();
  #versions = 0;

  constructor(parts: BucketParts) {
    this.#parts = parts;
  }

  /** A user puts an object; tells its version. */
  put(key: string, bytes: Buffer, tags: Tags): string {
    const version = this.#store(key, bytes, tags);
    this.#parts.changed({ key, version });
    return version;
  }

  /** A user replaces the tags of a version. */
  tag(object: ObjectVersion, tags: Tags): void {
    const stored = this.#find(object.key, object.version);
    if (stored === undefined) return;
    stored.tags = tags;
    this.#parts.changed(object);
  }

  /** The copy that agents fetch; undefined while there is none. */
  verified(sha256: string): Buffer | undefined {
    return this.#find(`verified/${sha256}`)?.bytes;
  }

  /** Puts a copy that was verified before the run. */
  pinned(sha256: string, bytes: Buffer): void {
    this.#store(`verified/${sha256}`, bytes, {});
  }

  /** The bucket as one process has it. */
  of(caller: Caller): IngestBucket {
    return {
      facts: async (key, version) => {
        await this.#way(caller);
        return factsOf(this.#find(key, version));
      },
      read: async (key, version) => {
        await this.#way(caller);
        const stored = this.#find(key, version);
        if (stored === undefined) throw new BucketUnavailable(`no object ${key}`);
        return this.#chunks(caller, stored.bytes);
      },
      pin: async (from, to) => {
        await this.#way(caller);
        const stored = this.#find(from.key, from.version);
        if (stored === undefined) throw new BucketUnavailable(`no object ${from.key}`);
        const version = this.#store(to, stored.bytes, {});
        this.#mayFail();
        return version;
      },
    };
  }

  async *#chunks(caller: Caller, bytes: Buffer): AsyncGenerator<Uint8Array> {
    const half = Math.floor(bytes.length / 2);
    yield bytes.subarray(0, half);
    await this.#way(caller);
    yield bytes.subarray(half);
  }

  async #way(caller: Caller): Promise<void> {
    const { time, faults, random } = this.#parts;
    await time.sleep(1 + random.below(callMs));
    if (faults.strikes("function-crash", random)) caller.isOver = true;
    if (caller.isOver) await never();
    this.#mayFail();
  }

  #mayFail(): void {
    const { faults, random } = this.#parts;
    if (faults.strikes("bucket", random)) throw new BucketUnavailable("503 Slow Down");
  }

  #store(key: string, bytes: Buffer, tags: Tags): string {
    this.#versions += 1;
    const version = `version-${this.#versions}`;
    const etag = createHash("md5").update(bytes).digest("hex");
    const versions = this.#objects.get(key) ?? [];
    versions.push({ version, etag, bytes, tags });
    this.#objects.set(key, versions);
    return version;
  }

  #find(key: string, version?: string): Stored | undefined {
    const versions = this.#objects.get(key);
    return version === undefined
      ? versions?.at(-1)
      : versions?.find((one) => one.version === version);
  }
}

function factsOf(stored: Stored | undefined): ObjectFacts | undefined {
  if (stored === undefined) return undefined;
  const { version, etag, bytes, tags } = stored;
  return { size: bytes.length, etag, version, metadata: {}, tags };
}
