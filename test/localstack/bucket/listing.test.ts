import {
  DeleteObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { Bucket, refusal, serve } from "./fixture.ts";

async function fill(s3: S3Client, keys: readonly string[]): Promise<void> {
  await Promise.all(keys.map((Key) => s3.send(new PutObjectCommand({ Bucket, Key, Body: "x" }))));
}

/** Each page as one line: keys, then prefixes in brackets. */
async function pages(
  s3: S3Client,
  query: Omit<ListObjectsV2CommandInput, "Bucket"> = {},
): Promise<string[]> {
  const lines: string[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await s3.send(new ListObjectsV2Command({ Bucket, ...query, ContinuationToken }));
    const keys = page.Contents?.map(({ Key }) => Key) ?? [];
    const prefixes = page.CommonPrefixes?.map(({ Prefix }) => `[${Prefix}]`) ?? [];
    expect(page.KeyCount).toBe(keys.length + prefixes.length);
    lines.push([...keys, ...prefixes].join(" "));
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  return lines;
}

test("keys come in the order of their UTF-8 bytes, under a prefix, in pages", async () => {
  const { s3 } = await serve();
  await fill(s3, ["b", "a", "Z", "ä", "\u{1F512}", "\uFFFD", "a/1", "a/2", "a0"]);
  expect(await pages(s3)).toEqual(["Z a a/1 a/2 a0 b ä \uFFFD \u{1F512}"]);
  expect(await pages(s3, { Prefix: "a", MaxKeys: 2 })).toEqual(["a a/1", "a/2 a0"]);
  expect(await pages(s3, { StartAfter: "a/2", MaxKeys: 3 })).toEqual([
    "a0 b ä",
    "\uFFFD \u{1F512}",
  ]);
  expect(await pages(s3, { Prefix: "none" })).toEqual([""]);
  expect(await pages(s3, { MaxKeys: 0 })).toEqual([""]);
});

test("a delimiter folds keys into prefixes, and pages count each once", async () => {
  const { s3 } = await serve();
  await fill(s3, ["p/", "p/a/1", "p/a/2", "p/b", "p/c/1", "q"]);
  expect(await pages(s3, { Delimiter: "/" })).toEqual(["q [p/]"]);
  expect(await pages(s3, { Delimiter: "/", Prefix: "p/" })).toEqual(["p/ p/b [p/a/] [p/c/]"]);
  expect(await pages(s3, { Delimiter: "/", Prefix: "p/", MaxKeys: 1 })).toEqual([
    "p/",
    "[p/a/]",
    "p/b",
    "[p/c/]",
  ]);
});

test("deleted keys are not listed, and a prefix of nothing but deleted keys is not either", async () => {
  const { s3 } = await serve();
  await fill(s3, ["a/1", "b/1", "b/2"]);
  await s3.send(new DeleteObjectCommand({ Bucket, Key: "a/1" }));
  await s3.send(new DeleteObjectCommand({ Bucket, Key: "b/1" }));
  expect(await pages(s3)).toEqual(["b/2"]);
  expect(await pages(s3, { Delimiter: "/" })).toEqual(["[b/]"]);
});

test("names that XML cannot hold come back whole when encoded", async () => {
  const { s3 } = await serve();
  const keys = ["<&>\"'", "a b+c", "tab\tnew\nline"];
  await fill(s3, keys);
  const page = await s3.send(new ListObjectsV2Command({ Bucket, EncodingType: "url" }));
  expect(page.Contents?.map(({ Key }) => decodeURIComponent(Key ?? "")).sort()).toEqual(
    keys.toSorted(),
  );
  const plain = await s3.send(new ListObjectsV2Command({ Bucket, FetchOwner: true }));
  expect(plain.Contents?.map(({ Key }) => Key)).toEqual(keys.toSorted());
  expect(plain.Contents?.[0]?.Owner?.ID).toBe("000000000000");
});

test("versions are listed newest first and across pages without loss", async () => {
  const { s3 } = await serve();
  for (const Key of ["a", "a", "b", "a"]) await fill(s3, [Key]);
  await s3.send(new DeleteObjectCommand({ Bucket, Key: "b" }));
  const seen: string[] = [];
  let marker: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {};
  for (let more = true; more; ) {
    const page = await s3.send(new ListObjectVersionsCommand({ Bucket, MaxKeys: 2, ...marker }));
    const rows = [
      ...(page.Versions ?? []).map((row) => ({ ...row, kind: "object" })),
      ...(page.DeleteMarkers ?? []).map((row) => ({ ...row, kind: "marker" })),
    ];
    seen.push(rows.map(({ Key, IsLatest, kind }) => `${Key} ${kind} ${IsLatest}`).join(", "));
    marker = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
    more = page.IsTruncated === true;
  }
  expect(seen).toEqual([
    "a object true, a object false",
    "a object false, b marker true",
    "b object false",
  ]);
});

test("nonsense in a listing's parameters is refused", async () => {
  const { s3 } = await serve();
  const list = (more: Omit<ListObjectsV2CommandInput, "Bucket">) =>
    refusal(s3.send(new ListObjectsV2Command({ Bucket, ...more })));
  expect(await list({ ContinuationToken: "!" })).toBe("InvalidArgument 400");
  expect(await list({ MaxKeys: -1 })).toBe("InvalidArgument 400");
  expect(await refusal(s3.send(new ListObjectsV2Command({ Bucket: "nowhere" })))).toBe(
    "NoSuchBucket 404",
  );
});
