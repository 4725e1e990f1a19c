import { readdir } from "node:fs/promises";
import { Readable } from "node:stream";
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectAclCommand,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { Bucket, clientOf, pattern, refusal, region, serve } from "./fixture.ts";

const read = async (s3: S3Client, Key: string, VersionId?: string): Promise<string> => {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, VersionId }));
  return (await Body?.transformToString()) ?? "";
};

test("an object comes back with its bytes, headers, metadata and ETag", async () => {
  const { s3 } = await serve();
  const put = await s3.send(
    new PutObjectCommand({
      Bucket,
      Key: "images/demo/a b+ü.gbs",
      Body: "bits",
      ContentType: "application/x-bitstream",
      CacheControl: "no-store",
      Metadata: { vendor: "intel", type: "crypto" },
    }),
  );
  expect(put.ETag).toBe('"cc411e6c13670e52124629b8ac83f7d0"');
  const got = await s3.send(new GetObjectCommand({ Bucket, Key: "images/demo/a b+ü.gbs" }));
  expect(await got.Body?.transformToString()).toBe("bits");
  expect(got).toMatchObject({
    ETag: put.ETag,
    VersionId: put.VersionId,
    ContentType: "application/x-bitstream",
    CacheControl: "no-store",
    ContentLength: 4,
    Metadata: { vendor: "intel", type: "crypto" },
  });
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "images/demo/a b+ü.gbs" }));
  expect(head).toMatchObject({ ContentLength: 4, Metadata: { vendor: "intel" } });
  expect(head.$metadata.requestId).toMatch(/^[0-9A-F]{16}$/);
});

test("an empty object and an object of many chunks are both whole", async () => {
  const { s3 } = await serve();
  const large = pattern(3 * 1024 * 1024 + 5);
  await s3.send(new PutObjectCommand({ Bucket, Key: "empty", Body: "" }));
  await s3.send(
    new PutObjectCommand({
      Bucket,
      Key: "large",
      Body: Readable.from([large.subarray(0, 1_000_000), large.subarray(1_000_000)]),
      ContentLength: large.length,
    }),
  );
  expect(await read(s3, "empty")).toBe("");
  const got = await s3.send(new GetObjectCommand({ Bucket, Key: "large" }));
  expect(large.equals((await got.Body?.transformToByteArray()) ?? Buffer.alloc(0))).toBe(true);
});

test("ranges give exactly the bytes asked for, and 416 where there are none", async () => {
  const { s3 } = await serve();
  await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "0123456789" }));
  const range = async (Range: string) => {
    const got = await s3.send(new GetObjectCommand({ Bucket, Key: "k", Range }));
    const text = await got.Body?.transformToString();
    return `${got.$metadata.httpStatusCode} ${got.ContentRange} ${text}`;
  };
  expect(await range("bytes=2-4")).toBe("206 bytes 2-4/10 234");
  expect(await range("bytes=7-")).toBe("206 bytes 7-9/10 789");
  expect(await range("bytes=-3")).toBe("206 bytes 7-9/10 789");
  expect(await range("bytes=8-100")).toBe("206 bytes 8-9/10 89");
  expect(await range("bytes=-100")).toBe("206 bytes 0-9/10 0123456789");
  expect(await range("bytes=4-2")).toBe("200 undefined 0123456789");
  expect(await range("bytes=0-1,3-4")).toBe("200 undefined 0123456789");
  expect(await refusal(range("bytes=10-"))).toBe("InvalidRange 416");
  expect(await refusal(range("bytes=-0"))).toBe("InvalidRange 416");
});

test("conditional reads answer 304 or 412", async () => {
  const { s3 } = await serve();
  const { ETag } = await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "1" }));
  const get = (more: object) =>
    refusal(s3.send(new GetObjectCommand({ Bucket, Key: "k", ...more })));
  const past = new Date(Date.now() - 3_600_000);
  const future = new Date(Date.now() + 3_600_000);
  expect(await get({ IfMatch: ETag })).toBe("no error");
  expect(await get({ IfMatch: '"other"' })).toBe("PreconditionFailed 412");
  expect(await get({ IfNoneMatch: ETag })).toMatch(/ 304$/);
  expect(await get({ IfNoneMatch: '"other"' })).toBe("no error");
  expect(await get({ IfModifiedSince: future })).toMatch(/ 304$/);
  expect(await get({ IfModifiedSince: past })).toBe("no error");
  expect(await get({ IfUnmodifiedSince: past })).toBe("PreconditionFailed 412");
  expect(await get({ IfUnmodifiedSince: past, IfMatch: ETag })).toBe("no error");
});

test("of twenty clients that create one key at once exactly one wins", async () => {
  const { s3, events } = await serve();
  const writes = Array.from({ length: 20 }, (_, n) =>
    refusal(
      s3.send(new PutObjectCommand({ Bucket, Key: "one", Body: `writer ${n}`, IfNoneMatch: "*" })),
    ),
  );
  const outcomes = (await Promise.all(writes)).sort();
  expect(outcomes.filter((outcome) => outcome === "no error")).toHaveLength(1);
  expect(new Set(outcomes)).toEqual(new Set(["PreconditionFailed 412", "no error"]));
  expect(events).toHaveLength(1);
  expect(await read(s3, "one")).toMatch(/^writer \d+$/);
});

test("of twenty clients that replace one known version exactly one wins", async () => {
  const { s3 } = await serve();
  const { ETag } = await s3.send(new PutObjectCommand({ Bucket, Key: "one", Body: "first" }));
  const writes = Array.from({ length: 20 }, (_, n) =>
    refusal(s3.send(new PutObjectCommand({ Bucket, Key: "one", Body: `${n}`, IfMatch: ETag }))),
  );
  const outcomes = await Promise.all(writes);
  expect(outcomes.filter((outcome) => outcome === "no error")).toHaveLength(1);
  const put = (more: object) =>
    refusal(s3.send(new PutObjectCommand({ Bucket, Key: "none", Body: "", ...more })));
  expect(await put({ IfMatch: ETag })).toBe("NoSuchKey 404");
  expect(await put({ IfNoneMatch: ETag })).toBe("NotImplemented 501");
});

test("an overwrite keeps the version before, a delete puts a marker on top", async () => {
  const { s3 } = await serve();
  const first = await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "one" }));
  const second = await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "two" }));
  expect(second.VersionId).not.toBe(first.VersionId);
  expect(await read(s3, "k")).toBe("two");
  expect(await read(s3, "k", first.VersionId)).toBe("one");
  const deleted = await s3.send(new DeleteObjectCommand({ Bucket, Key: "k" }));
  expect(deleted.DeleteMarker).toBe(true);
  expect(await refusal(read(s3, "k"))).toBe("NoSuchKey 404");
  expect(await refusal(read(s3, "k", deleted.VersionId))).toBe("MethodNotAllowed 405");
  expect(await refusal(read(s3, "k", "no-such-version"))).toBe("NoSuchVersion 404");
  const listed = await s3.send(new ListObjectVersionsCommand({ Bucket }));
  expect(listed.Versions?.map(({ VersionId }) => VersionId)).toEqual([
    second.VersionId,
    first.VersionId,
  ]);
  expect(listed.DeleteMarkers).toMatchObject([{ VersionId: deleted.VersionId, IsLatest: true }]);
});

test("removing the newest version brings the one before back, and its bytes leave the disk", async () => {
  const { s3, dataDir } = await serve();
  await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "one" }));
  const { VersionId } = await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "two" }));
  expect(await readdir(`${dataDir}/blobs`)).toHaveLength(2);
  await s3.send(new DeleteObjectCommand({ Bucket, Key: "k", VersionId }));
  expect(await read(s3, "k")).toBe("one");
  expect(await readdir(`${dataDir}/blobs`)).toHaveLength(1);
  const marker = await s3.send(new DeleteObjectCommand({ Bucket, Key: "k" }));
  await s3.send(new DeleteObjectCommand({ Bucket, Key: "k", VersionId: marker.VersionId }));
  expect(await read(s3, "k")).toBe("one");
});

test("many keys are deleted in one request, each answered for itself", async () => {
  const { s3 } = await serve();
  const { VersionId } = await s3.send(new PutObjectCommand({ Bucket, Key: "<a>&", Body: "1" }));
  await s3.send(new PutObjectCommand({ Bucket, Key: "b", Body: "1" }));
  const answer = await s3.send(
    new DeleteObjectsCommand({
      Bucket,
      Delete: { Objects: [{ Key: "<a>&", VersionId }, { Key: "b" }] },
    }),
  );
  expect(answer.Deleted).toMatchObject([
    { Key: "<a>&", VersionId },
    { Key: "b", DeleteMarker: true },
  ]);
  expect(await refusal(read(s3, "<a>&"))).toBe("NoSuchKey 404");
  expect(await refusal(read(s3, "b"))).toBe("NoSuchKey 404");
});

test("a copy takes the version that is pinned, not the newest", async () => {
  const { s3, events } = await serve();
  const pinned = await s3.send(
    new PutObjectCommand({
      Bucket,
      Key: "in/ü?.gbs",
      Body: "verified",
      Metadata: { vendor: "intel" },
      Tagging: "FPGA=true",
      ChecksumAlgorithm: "SHA256",
    }),
  );
  await s3.send(new PutObjectCommand({ Bucket, Key: "in/ü?.gbs", Body: "replaced" }));
  const source = `${Bucket}/${encodeURIComponent("in/ü?.gbs")}?versionId=${pinned.VersionId}`;
  const copy = (more: object) =>
    s3.send(new CopyObjectCommand({ Bucket, Key: "sha/1", CopySource: source, ...more }));
  const copied = await copy({ CopySourceIfMatch: pinned.ETag });
  expect(copied.CopySourceVersionId).toBe(pinned.VersionId);
  expect(copied.CopyObjectResult).toMatchObject({
    ETag: pinned.ETag,
    ChecksumSHA256: pinned.ChecksumSHA256,
  });
  expect(await read(s3, "sha/1")).toBe("verified");
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "sha/1" }));
  expect(head).toMatchObject({ Metadata: { vendor: "intel" }, TagCount: 1 });
  expect(events.at(-1)?.detail.reason).toBe("CopyObject");
  expect(await refusal(copy({ CopySourceIfMatch: '"x"' }))).toBe("PreconditionFailed 412");
  expect(await refusal(copy({ IfNoneMatch: "*" }))).toBe("PreconditionFailed 412");
  const fresh = { MetadataDirective: "REPLACE", TaggingDirective: "REPLACE", Tagging: "" } as const;
  await copy({ ...fresh, Metadata: { type: "new" } });
  const replaced = await s3.send(new HeadObjectCommand({ Bucket, Key: "sha/1" }));
  expect(replaced.Metadata).toEqual({ type: "new" });
  expect(replaced.TagCount).toBeUndefined();
});

test("a copy onto itself has to change something, and its source has to exist", async () => {
  const { s3 } = await serve();
  await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "1" }));
  const copy = (CopySource: string, more: object = {}) =>
    refusal(s3.send(new CopyObjectCommand({ Bucket, Key: "k", CopySource, ...more })));
  expect(await copy(`${Bucket}/k`)).toBe("InvalidRequest 400");
  expect(await copy(`${Bucket}/k`, { MetadataDirective: "REPLACE" })).toBe("no error");
  expect(await copy(`${Bucket}/none`)).toBe("NoSuchKey 404");
  expect(await copy("nowhere/k")).toBe("NoSuchBucket 404");
  expect(await copy("k")).toBe("InvalidArgument 400");
});

test("hostile keys are names and never paths", async () => {
  const { s3, dataDir } = await serve();
  const keys = [
    "../../escape",
    "/etc/passwd",
    "a//b",
    "./x",
    "..",
    "con\u0001trol",
    "__proto__",
    "nul\u0000l",
    "%2e%2e/x",
    "\u{1F512}/ключ",
    "k".repeat(1024),
  ];
  for (const Key of keys) await s3.send(new PutObjectCommand({ Bucket, Key, Body: `of ${Key}` }));
  for (const Key of keys) expect(await read(s3, Key)).toBe(`of ${Key}`);
  for (const name of await readdir(`${dataDir}/blobs`)) expect(name).toMatch(/^[0-9a-f]{32}$/);
  const long = new PutObjectCommand({ Bucket, Key: "ü".repeat(513), Body: "" });
  expect(await refusal(s3.send(long))).toBe("KeyTooLongError 400");
});

test("buckets are made, found, and only removed when empty", async () => {
  const { s3, ...server } = await serve();
  await s3.send(new CreateBucketCommand({ Bucket: "second" }));
  const again = s3.send(new CreateBucketCommand({ Bucket: "second" }));
  expect(await refusal(again)).toBe("BucketAlreadyOwnedByYou 409");
  const bad = clientOf(server).send(new CreateBucketCommand({ Bucket: "Not_Valid" }));
  expect(await refusal(bad)).toBe("InvalidBucketName 400");
  const { Buckets } = await s3.send(new ListBucketsCommand({}));
  expect(Buckets?.map(({ Name }) => Name)).toEqual([Bucket, "second"]);
  const head = await s3.send(new HeadBucketCommand({ Bucket }));
  expect(head.BucketRegion).toBe(region);
  const location = await s3.send(new GetBucketLocationCommand({ Bucket }));
  expect(location.LocationConstraint).toBe(region);
  await s3.send(new PutObjectCommand({ Bucket: "second", Key: "k", Body: "" }));
  await s3.send(new DeleteObjectCommand({ Bucket: "second", Key: "k" }));
  const remove = () => refusal(s3.send(new DeleteBucketCommand({ Bucket: "second" })));
  expect(await remove()).toBe("BucketNotEmpty 409");
  const rest = await s3.send(new ListObjectVersionsCommand({ Bucket: "second" }));
  for (const { Key, VersionId } of [...(rest.Versions ?? []), ...(rest.DeleteMarkers ?? [])]) {
    await s3.send(new DeleteObjectCommand({ Bucket: "second", Key, VersionId }));
  }
  expect(await remove()).toBe("no error");
  expect(await refusal(s3.send(new HeadBucketCommand({ Bucket: "second" })))).toMatch(/404$/);
});

test("versioning is always on and cannot be suspended", async () => {
  const { s3 } = await serve();
  const { Status } = await s3.send(new GetBucketVersioningCommand({ Bucket }));
  expect(Status).toBe("Enabled");
  const set = (Status: "Enabled" | "Suspended") =>
    refusal(
      s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } })),
    );
  expect(await set("Enabled")).toBe("no error");
  expect(await set("Suspended")).toBe("NotImplemented 501");
});

test("what is not served is refused and leaves the object alone", async () => {
  const { s3 } = await serve();
  await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "kept" }));
  const acl = s3.send(new PutObjectAclCommand({ Bucket, Key: "k", ACL: "public-read" }));
  expect(await refusal(acl)).toBe("NotImplemented 501");
  const put = (more: object) =>
    refusal(s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "x", ...more })));
  expect(await put({ ACL: "public-read" })).toBe("NotImplemented 501");
  expect(await put({ ServerSideEncryption: "aws:kms" })).toBe("NotImplemented 501");
  expect(await put({ StorageClass: "GLACIER" })).toBe("NotImplemented 501");
  expect(await put({ Metadata: { big: "x".repeat(2048) } })).toBe("MetadataTooLarge 400");
  expect(await refusal(s3.send(new ListObjectsCommand({ Bucket })))).toBe("NotImplemented 501");
  expect(await read(s3, "k")).toBe("kept");
  const nowhere = new PutObjectCommand({ Bucket: "nowhere", Key: "k", Body: "x" });
  expect(await refusal(s3.send(nowhere))).toBe("NoSuchBucket 404");
});
