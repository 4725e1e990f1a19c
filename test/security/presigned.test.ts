import { createHash } from "node:crypto";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { beforeEach, describe, expect, test } from "vitest";
import { bucketFrom, type Bucket as ImageBucket } from "../../functions/parts/bucket.ts";
import { Bucket, codeOf, credentials, region, send, serve } from "../localstack/bucket/fixture.ts";

/** Presigned requests as the functions make them, used for something else than they are for. */

const content = Buffer.from("a bitstream");
const digest = createHash("sha256").update(content).digest("hex");
const upload = { sha256: digest, size: content.length, tags: "FPGA=true&vendor=intel&type=crypto" };
const mine = "images/p1/mine.gbs";
const theirs = "images/victim/secret.gbs";

let url: string;
let bucket: ImageBucket;
/** How far the bucket's clock is ahead, ms. */
let ahead: number;

beforeEach(async () => {
  ahead = 0;
  const now = () => new Date(Date.now() + ahead);
  const server = await serve({ now, buckets: [Bucket, "other"] });
  url = server.endpoint;
  for (const Key of [mine, theirs]) {
    await server.s3.send(new PutObjectCommand({ Bucket, Key, Body: content }));
  }
  bucket = bucketFrom({
    GATEHOUSE_TABLE: "t",
    GATEHOUSE_BUCKET: Bucket,
    AWS_ENDPOINT_URL: url,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_REGION: region,
  });
});

const asked = async (signed: string, options: object = {}) => await send(signed, options);

describe("a presigned download", () => {
  const signed = async (key = mine) => await bucket.presignGet(key, undefined, 60);

  test("gives the object that it is for", async () => {
    expect(await asked(await signed())).toMatchObject({ status: 200, text: "a bitstream" });
  });

  test.each<readonly [string, (url: string) => string]>([
    ["another object", (one) => one.replace("images/p1/mine.gbs", theirs)],
    ["another object by climbing", (one) => one.replace("p1/mine.gbs", "p1/../victim/secret.gbs")],
    [
      "another object by encoded climbing",
      (one) => one.replace("p1/mine.gbs", "p1/%2e%2e/victim/secret.gbs"),
    ],
    ["another bucket", (one) => one.replace(`/${Bucket}/`, "/other/")],
    ["the list of objects", (one) => one.replace(/images\/p1\/mine\.gbs/, "")],
    ["more time", (one) => one.replace("X-Amz-Expires=60", "X-Amz-Expires=604800")],
    ["an earlier date", (one) => one.replace(/X-Amz-Date=\d{8}/, "X-Amz-Date=20251231")],
    ["another key", (one) => one.replace(/X-Amz-Credential=\w+/, "X-Amz-Credential=root")],
    ["no signature", (one) => one.replace(/&X-Amz-Signature=\w+/, "")],
    ["a signature of zeros", (one) => one.replace(/Signature=\w+/, `Signature=${"0".repeat(64)}`)],
    ["another version", (one) => `${one}&versionId=null`],
    ["the tags", (one) => `${one}&tagging=`],
    ["another type for a browser", (one) => `${one}&response-content-type=text%2Fhtml`],
  ])("does not give %s", async (_, change) => {
    const before = await signed();
    const after = change(before);
    expect(after).not.toBe(before);
    const answer = await asked(after);
    expect([400, 403, 404]).toContain(answer.status);
    expect(answer.text).not.toContain("a bitstream");
  });

  test.each(["PUT", "DELETE", "POST"])("is not for %s", async (method) => {
    const answer = await asked(await signed(), {
      method,
      ...(method === "DELETE" ? {} : { body: Buffer.from("x") }),
    });
    expect([403, 405]).toContain(answer.status);
    expect(await asked(await signed())).toMatchObject({ status: 200, text: "a bitstream" });
  });

  test("is over when its time is over", async () => {
    const one = await signed();
    ahead = 50_000;
    expect((await asked(one)).status).toBe(200);
    ahead = 61_000;
    expect(await asked(one)).toMatchObject({ status: 403 });
  });

  test.each([
    "images/p1/a b.gbs",
    "images/p1/a+b.gbs",
    "images/p1/100%.gbs",
    "images/p1/für-größe.gbs",
    "images/p1/a'b(c)!*.gbs",
    "images/p1/a&b=c?d#e.gbs",
    "images/p1/..gbs",
  ])("of the odd key %s gives that object and no other", async (key) => {
    const put = await bucket.presignPut(key, upload, 60);
    const stored = await asked(put.url, { method: "PUT", headers: put.headers, body: content });
    expect(stored.status).toBe(200);
    expect(await bucket.facts(key)).toMatchObject({ size: content.length });
    expect((await asked(await signed(key))).text).toBe("a bitstream");
  });
});

describe("a presigned upload", () => {
  const fresh = "images/p1/fresh.gbs";
  const put = async (
    changes: { readonly body?: Buffer; readonly headers?: Record<string, string> } = {},
    change: (url: string) => string = (one) => one,
  ) => {
    const signed = await bucket.presignPut(fresh, upload, 60);
    const headers = { ...signed.headers, ...changes.headers };
    return await asked(change(signed.url), {
      method: "PUT",
      headers,
      body: changes.body ?? content,
    });
  };

  test("takes the bytes that were announced, with their tags", async () => {
    expect((await put()).status).toBe(200);
    expect(await bucket.facts(fresh)).toMatchObject({ tags: { FPGA: "true", type: "crypto" } });
  });

  test("takes no other bytes of the same length", async () => {
    const answer = await put({ body: Buffer.from("A BITSTREAM") });
    expect([answer.status, codeOf(answer.text)]).toEqual([400, "BadDigest"]);
    expect(await bucket.facts(fresh)).toBeUndefined();
  });

  test.each<readonly [string, Record<string, string>]>([
    ["other tags", { "x-amz-tagging": "FPGA=true&vendor=intel&type=other" }],
    ["another digest", { "x-amz-checksum-sha256": Buffer.alloc(32).toString("base64") }],
    ["an access rule", { "x-amz-acl": "public-read" }],
    ["a copy of another's object", { "x-amz-copy-source": `/${Bucket}/${theirs}` }],
  ])("does not take %s", async (_, headers) => {
    const answer = await put({ headers });
    expect([400, 403, 501]).toContain(answer.status);
    expect(await bucket.facts(fresh)).toBeUndefined();
  });

  test("is for no other object and not for reading", async () => {
    expect((await put({}, (one) => one.replace(fresh, theirs))).status).toBe(403);
    const { url: signed } = await bucket.presignPut(theirs, upload, 60);
    expect((await asked(signed)).status).toBe(403);
  });

  test("is over when its time is over", async () => {
    const signed = await bucket.presignPut(fresh, upload, 60);
    ahead = 61_000;
    const { headers } = signed;
    const answer = await asked(signed.url, { method: "PUT", headers, body: content });
    expect(answer.status).toBe(403);
  });
});
