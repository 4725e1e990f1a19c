import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { BucketUnavailable, type ObjectVersion, SimBucket } from "./bucket.ts";
import { certain, faultsOf } from "./certain.ts";
import type { FaultKind } from "./faults.ts";
import { streamsOf } from "./random.ts";
import type { Caller } from "./table.ts";
import { Time } from "./time.ts";

const key = "images/red/logic";
const tags = { FPGA: "true" };
const never = () => false;

function bucketWith(...kinds: readonly FaultKind[]) {
  const changed: ObjectVersion[] = [];
  const time = new Time(streamsOf(1)("ties"));
  const caller: Caller = { isOver: false };
  const bucket = new SimBucket({
    time,
    faults: faultsOf(...kinds),
    random: certain(),
    changed: (object) => changed.push(object),
  });
  return { time, bucket, caller, changed, port: bucket.of(caller) };
}

/** What comes of a call when all time has passed; undefined when it is never answered. */
async function outcome<Value>(time: Time, call: Promise<Value>): Promise<unknown> {
  let seen: unknown;
  call.then(
    (value) => {
      seen = value;
    },
    (error: unknown) => {
      seen = error;
    },
  );
  await time.run(never);
  return seen;
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts).toString();
}

describe("an object", () => {
  test("has versions: each is found by its name, the newest without", async () => {
    const { time, bucket, port, changed } = bucketWith();
    const first = bucket.put(key, Buffer.from("one"), tags);
    const second = bucket.put(key, Buffer.from("other"), {});
    expect(changed).toEqual([
      { key, version: first },
      { key, version: second },
    ]);
    expect(await outcome(time, port.facts(key))).toMatchObject({ size: 5, version: second });
    expect(await outcome(time, port.facts(key, first))).toMatchObject({
      size: 3,
      tags,
      etag: createHash("md5").update("one").digest("hex"),
    });
    expect(await outcome(time, port.facts("images/red/none"))).toBeUndefined();
    const read = port.read(key, first).then(bytesOf);
    expect(await outcome(time, read)).toBe("one");
  });

  test("is tagged by version, and that is told", async () => {
    const { time, bucket, port, changed } = bucketWith();
    const version = bucket.put(key, Buffer.from("one"), {});
    bucket.put(key, Buffer.from("two"), {});
    bucket.tag({ key, version }, tags);
    bucket.tag({ key, version: "none" }, tags);
    expect(changed).toHaveLength(3);
    expect(await outcome(time, port.facts(key, version))).toMatchObject({ tags });
    expect(await outcome(time, port.facts(key))).toMatchObject({ tags: {} });
  });

  test("is copied in the version that was asked for, and nobody is told of the copy", async () => {
    const { time, bucket, port, changed } = bucketWith();
    const version = bucket.put(key, Buffer.from("one"), {});
    bucket.put(key, Buffer.from("two"), {});
    await outcome(time, port.pin({ key, version, etag: "" }, "verified/digest"));
    expect(bucket.verified("digest")?.toString()).toBe("one");
    expect(changed).toHaveLength(2);
  });
});

describe("a bucket that fails", () => {
  test("refuses every call", async () => {
    const { time, bucket, port } = bucketWith("bucket");
    const version = bucket.put(key, Buffer.from("one"), {});
    const copy = port.pin({ key, version, etag: "" }, "verified/digest");
    const calls: readonly Promise<unknown>[] = [port.facts(key), port.read(key), copy];
    for (const call of calls) {
      expect(await outcome(time, call)).toBeInstanceOf(BucketUnavailable);
    }
  });

  test("never answers a function that ends", async () => {
    const { time, bucket, port, caller } = bucketWith("function-crash");
    bucket.put(key, Buffer.from("one"), {});
    expect(await outcome(time, port.facts(key))).toBeUndefined();
    expect(caller.isOver).toBe(true);
  });
});
