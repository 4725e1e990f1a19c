import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { startDigest } from "../../../localstack/bucket/checksums.ts";
import { Bucket, pattern, refusal, serve } from "./fixture.ts";

const Key = "large/image.xclbin";
const whole = pattern(10 * 1024 * 1024 + 3);
const cuts = [
  whole.subarray(0, 5 * 1024 * 1024),
  whole.subarray(5 * 1024 * 1024, 10 * 1024 * 1024),
  whole.subarray(10 * 1024 * 1024),
];
const hash = (algorithm: string, data: Buffer): Buffer =>
  createHash(algorithm).update(data).digest();

async function begin(s3: S3Client, more: Partial<CreateMultipartUploadCommandInput> = {}) {
  const made = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }));
  return { Bucket, Key, UploadId: made.UploadId };
}

async function upload(
  s3: S3Client,
  at: Awaited<ReturnType<typeof begin>>,
  bodies: readonly Buffer[],
  ChecksumAlgorithm?: "SHA256",
): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = [];
  for (const [index, Body] of bodies.entries()) {
    const PartNumber = index + 1;
    const { ETag, ChecksumSHA256, ChecksumCRC32 } = await s3.send(
      new UploadPartCommand({ ...at, PartNumber, Body, ChecksumAlgorithm }),
    );
    parts.push({ PartNumber, ETag, ChecksumSHA256, ChecksumCRC32 });
  }
  return parts;
}

const complete = (s3: S3Client, at: object, Parts: CompletedPart[], more: object = {}) =>
  s3.send(
    new CompleteMultipartUploadCommand({
      Bucket,
      Key,
      ...at,
      UploadId: (at as { UploadId?: string }).UploadId,
      MultipartUpload: { Parts },
      ...more,
    }),
  );

test("three parts become one object with S3's composite ETag and checksum", async () => {
  const { s3, events } = await serve();
  const at = await begin(s3, {
    ChecksumAlgorithm: "SHA256",
    ContentType: "application/x-image",
    Metadata: { vendor: "xilinx" },
    Tagging: "FPGA=true",
  });
  const parts = await upload(s3, at, cuts, "SHA256");
  expect(events).toEqual([]);
  expect(await refusal(s3.send(new HeadObjectCommand({ Bucket, Key })))).toBe("NotFound 404");
  const made = await complete(s3, at, parts);
  const composite = (algorithm: string) =>
    hash(algorithm, Buffer.concat(cuts.map((cut) => hash(algorithm, cut))));
  expect(made.ETag).toBe(`"${composite("md5").toString("hex")}-3"`);
  expect(made).toMatchObject({
    ChecksumSHA256: `${composite("sha256").toString("base64")}-3`,
    ChecksumType: "COMPOSITE",
  });
  const got = await s3.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: "ENABLED" }));
  const bytes = (await got.Body?.transformToByteArray()) ?? Buffer.alloc(0);
  expect(whole.equals(bytes)).toBe(true);
  expect(got).toMatchObject({
    ContentType: "application/x-image",
    Metadata: { vendor: "xilinx" },
    TagCount: 1,
    VersionId: made.VersionId,
  });
  expect(events).toMatchObject([
    { detail: { reason: "CompleteMultipartUpload", object: { size: whole.length } } },
  ]);
});

test("a range may cross parts and a part can be fetched by its number", async () => {
  const { s3 } = await serve();
  const at = await begin(s3);
  await complete(s3, at, await upload(s3, at, cuts));
  const edge = 5 * 1024 * 1024;
  const range = new GetObjectCommand({ Bucket, Key, Range: `bytes=${edge - 2}-${edge + 1}` });
  const crossing = await (await s3.send(range)).Body?.transformToByteArray();
  expect(Buffer.from(crossing ?? []).equals(whole.subarray(edge - 2, edge + 2))).toBe(true);
  const third = await s3.send(new GetObjectCommand({ Bucket, Key, PartNumber: 3 }));
  expect(third).toMatchObject({ PartsCount: 3, ContentLength: 3 });
  expect(Buffer.from((await third.Body?.transformToByteArray()) ?? [])).toEqual(cuts[2]);
  const fourth = s3.send(new GetObjectCommand({ Bucket, Key, PartNumber: 4 }));
  expect(await refusal(fourth)).toBe("InvalidRange 416");
});

test("a whole-object CRC is computed over all parts and compared with the promise", async () => {
  const { s3 } = await serve();
  const at = await begin(s3, { ChecksumAlgorithm: "CRC32", ChecksumType: "FULL_OBJECT" });
  const parts = await upload(s3, at, cuts);
  const digest = startDigest("crc32");
  digest.update(whole);
  const ChecksumCRC32 = digest.end().toString("base64");
  const wrong = complete(s3, at, parts, { ChecksumCRC32: "AAAAAA==" });
  expect(await refusal(wrong)).toBe("BadDigest 400");
  const size = complete(s3, at, parts, { MpuObjectSize: 5 });
  expect(await refusal(size)).toBe("InvalidRequest 400");
  const made = await complete(s3, at, parts, { ChecksumCRC32, MpuObjectSize: whole.length });
  expect(made).toMatchObject({ ChecksumCRC32, ChecksumType: "FULL_OBJECT" });
});

test("completing is refused when parts are missing, wrong, disordered or too small", async () => {
  const { s3 } = await serve();
  const at = await begin(s3, { ChecksumAlgorithm: "SHA256" });
  const small = Buffer.from("small");
  const parts = await upload(s3, at, [small, small], "SHA256");
  const [one = {}, two = {}] = parts;
  const refused = (chosen: CompletedPart[]) => refusal(complete(s3, at, chosen));
  expect(await refused(parts)).toBe("EntityTooSmall 400");
  expect(await refused([two, one])).toBe("InvalidPartOrder 400");
  expect(await refused([one, one])).toBe("InvalidPartOrder 400");
  expect(await refused([{ ...one, ETag: '"0"' }])).toBe("InvalidPart 400");
  expect(await refused([{ ...one, PartNumber: 9 }])).toBe("InvalidPart 400");
  expect(await refused([{ ...one, ChecksumSHA256: "AAAA" }])).toBe("InvalidPart 400");
  expect(await refused([{ ETag: one.ETag, PartNumber: 1 }])).toBe("InvalidRequest 400");
  expect(await refused([])).toBe("MalformedXML 400");
  expect(await refused([one])).toBe("no error");
  expect(await refused([one])).toBe("NoSuchUpload 404");
});

test("a part must use the upload's algorithm, a valid number and a known upload", async () => {
  const { s3 } = await serve();
  const at = await begin(s3, { ChecksumAlgorithm: "SHA256" });
  const part = (more: object) =>
    refusal(s3.send(new UploadPartCommand({ ...at, PartNumber: 1, Body: "x", ...more })));
  expect(await part({ ChecksumAlgorithm: "SHA1" })).toBe("InvalidRequest 400");
  expect(await part({ PartNumber: 10_001 })).toBe("InvalidArgument 400");
  expect(await part({ PartNumber: 0 })).toBe("InvalidArgument 400");
  expect(await part({ UploadId: "unknown" })).toBe("NoSuchUpload 404");
  expect(await part({ Key: "another" })).toBe("NoSuchUpload 404");
  const begun = (more: Partial<CreateMultipartUploadCommandInput>) => refusal(begin(s3, more));
  const sha = { ChecksumAlgorithm: "SHA256", ChecksumType: "FULL_OBJECT" } as const;
  expect(await begun(sha)).toBe("InvalidRequest 400");
  expect(await begun({ ChecksumAlgorithm: "CRC64NVME", ChecksumType: "COMPOSITE" })).toBe(
    "InvalidRequest 400",
  );
});

test("a replaced part, an unused part and an aborted upload leave no bytes", async () => {
  const { s3, dataDir } = await serve();
  const files = async () => (await readdir(`${dataDir}/blobs`)).length;
  const at = await begin(s3);
  const parts = await upload(s3, at, [Buffer.from("one"), Buffer.from("two")]);
  await upload(s3, at, [Buffer.from("new")]);
  expect(await files()).toBe(2);
  const [, two = {}] = parts;
  await complete(s3, at, [two]);
  expect(await files()).toBe(1);
  const other = await begin(s3);
  await upload(s3, other, [Buffer.from("gone")]);
  await s3.send(new AbortMultipartUploadCommand(other));
  expect(await files()).toBe(1);
  expect(await refusal(s3.send(new AbortMultipartUploadCommand(other)))).toBe("NoSuchUpload 404");
});

test("uploads and parts are listed, parts in pages", async () => {
  const { s3 } = await serve();
  const at = await begin(s3);
  await upload(s3, at, [Buffer.from("1"), Buffer.from("22"), Buffer.from("333")]);
  const uploads = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: "large/" }));
  expect(uploads.Uploads).toMatchObject([{ Key, UploadId: at.UploadId }]);
  const first = await s3.send(new ListPartsCommand({ ...at, MaxParts: 2 }));
  expect(first.Parts?.map(({ Size }) => Size)).toEqual([1, 2]);
  expect(first).toMatchObject({ IsTruncated: true, NextPartNumberMarker: "2" });
  const rest = await s3.send(
    new ListPartsCommand({ ...at, PartNumberMarker: first.NextPartNumberMarker }),
  );
  expect(rest.Parts).toMatchObject([{ PartNumber: 3, Size: 3 }]);
  expect(rest.IsTruncated).toBe(false);
});
