import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectTaggingCommand,
  GetObjectTaggingCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type Tag,
} from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import type { BucketEvent } from "../../../localstack/bucket/events.ts";
import { Bucket, refusal, region, scratch, serve } from "./fixture.ts";

const Key = "images/demo/a b&ü.gbs";

test("a put tells everything EventBridge would tell", async () => {
  const { s3, events } = await serve();
  const put = await s3.send(
    new PutObjectCommand({ Bucket, Key, Body: "bits", Tagging: "FPGA=true" }),
  );
  expect(events).toEqual([
    {
      version: "0",
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      "detail-type": "Object Created",
      source: "aws.s3",
      account: "000000000000",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      region,
      resources: [`arn:aws:s3:::${Bucket}`],
      detail: {
        version: "0",
        bucket: { name: Bucket },
        object: {
          key: Key,
          size: 4,
          etag: put.ETag?.replaceAll('"', ""),
          "version-id": put.VersionId,
          sequencer: expect.stringMatching(/^[0-9A-F]{16}$/),
        },
        "request-id": put.$metadata.requestId,
        requester: "000000000000",
        "source-ip-address": "127.0.0.1",
        reason: "PutObject",
      },
    },
  ]);
});

test("each kind of change is told once, in order, with a rising sequencer", async () => {
  const { s3, events } = await serve();
  const at = { Bucket, Key };
  await s3.send(new PutObjectCommand({ ...at, Body: "1" }));
  const TagSet = [{ Key: "FPGA", Value: "true" }];
  await s3.send(new PutObjectTaggingCommand({ ...at, Tagging: { TagSet } }));
  await s3.send(new DeleteObjectTaggingCommand(at));
  const source = `${Bucket}/${encodeURIComponent(Key)}`;
  await s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource: source }));
  const { VersionId } = await s3.send(new DeleteObjectCommand(at));
  await s3.send(new DeleteObjectCommand({ ...at, VersionId }));
  await s3.send(new DeleteObjectCommand({ ...at, VersionId }));
  const told = events.map(({ "detail-type": type, detail }) =>
    [type, detail.reason ?? "-", detail["deletion-type"] ?? "-"].join(" / "),
  );
  expect(told).toEqual([
    "Object Created / PutObject / -",
    "Object Tags Added / - / -",
    "Object Tags Deleted / - / -",
    "Object Created / CopyObject / -",
    "Object Deleted / DeleteObject / Delete Marker Created",
    "Object Deleted / DeleteObject / Permanently Deleted",
  ]);
  const numbers = events.flatMap(({ detail }) => detail.object.sequencer ?? []);
  expect(numbers.slice(0, 3)).toEqual(numbers.slice(0, 3).toSorted());
});

test("tags are set by header or document, read back, and replaced as a set", async () => {
  const { s3 } = await serve();
  const at = { Bucket, Key };
  await s3.send(
    new PutObjectCommand({ ...at, Body: "1", Tagging: "FPGA=true&vendor=a%20b&type=c+d&empty=" }),
  );
  const read = async (VersionId?: string) => {
    const { TagSet = [] } = await s3.send(new GetObjectTaggingCommand({ ...at, VersionId }));
    return TagSet.map(({ Key, Value }) => `${Key}=${Value}`);
  };
  expect(await read()).toEqual(["FPGA=true", "vendor=a b", "type=c d", "empty="]);
  const TagSet = [{ Key: "größe", Value: "1:2/3@x" }];
  const { VersionId } = await s3.send(new PutObjectTaggingCommand({ ...at, Tagging: { TagSet } }));
  await s3.send(new PutObjectCommand({ ...at, Body: "2" }));
  expect(await read()).toEqual([]);
  expect(await read(VersionId)).toEqual(["größe=1:2/3@x"]);
});

test("tags beyond S3's limits are refused and change nothing", async () => {
  const { s3, events } = await serve();
  const at = { Bucket, Key };
  await s3.send(new PutObjectCommand({ ...at, Body: "1" }));
  const set = (TagSet: Tag[]) =>
    refusal(s3.send(new PutObjectTaggingCommand({ ...at, Tagging: { TagSet } })));
  const numbered = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ Key: `k${n}`, Value: "v" }));
  expect(await set(numbered(11))).toBe("BadRequest 400");
  expect(await set([{ Key: "k".repeat(129), Value: "" }])).toBe("InvalidTag 400");
  expect(await set([{ Key: "k", Value: "v".repeat(257) }])).toBe("InvalidTag 400");
  expect(await set([{ Key: "", Value: "" }])).toBe("InvalidTag 400");
  expect(await set([{ Key: "aws:own", Value: "" }])).toBe("InvalidTag 400");
  expect(await set([{ Key: "a<b", Value: "" }])).toBe("InvalidTag 400");
  expect(await set([...numbered(1), ...numbered(1)])).toBe("InvalidTag 400");
  expect(events).toHaveLength(1);
  expect(await set(numbered(10))).toBe("no error");
  expect(await set([{ Key: "k".repeat(128), Value: "v".repeat(256) }])).toBe("no error");
  const header = (Tagging: string) =>
    refusal(s3.send(new PutObjectCommand({ ...at, Body: "1", Tagging })));
  expect(await header("a=1&a=2")).toBe("InvalidTag 400");
  expect(await header("a=1=2")).toBe("InvalidArgument 400");
  expect(await header("a=%ff")).toBe("InvalidArgument 400");
  const none = s3.send(new GetObjectTaggingCommand({ Bucket, Key: "none" }));
  expect(await refusal(none)).toBe("NoSuchKey 404");
});

test("an event whose listener failed comes again at the next start, and only then", async () => {
  const dataDir = await scratch();
  const attempts: string[] = [];
  const first = await serve({
    dataDir,
    onEvent: (event) => {
      attempts.push(event.id);
      return event.detail.object.key === "bad" ? Promise.reject(new Error("no")) : undefined;
    },
  });
  await first.s3.send(new PutObjectCommand({ Bucket, Key: "bad", Body: "" }));
  await first.s3.send(new PutObjectCommand({ Bucket, Key: "good", Body: "" }));
  await first.close();
  const again: BucketEvent[] = [];
  const second = await serve({ dataDir, onEvent: (event) => void again.push(event) });
  expect(again.map(({ id, detail }) => [id, detail.object.key])).toEqual([[attempts[0], "bad"]]);
  await second.close();
  await serve({ dataDir, onEvent: (event) => void again.push(event) });
  expect(again).toHaveLength(1);
});
