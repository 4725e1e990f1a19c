import { createHash } from "node:crypto";
import {
  GetObjectCommand,
  ListBucketsCommand,
  PutObjectCommand,
  type S3ClientConfig,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { expect, test } from "vitest";
import { bucketEnvironment } from "../../../localstack/bucket/environment.ts";
import {
  canonicalRequest,
  requestStringToSign,
  sign,
  signerOf,
} from "../../../localstack/bucket/sigv4.ts";
import {
  Bucket,
  clientOf,
  codeOf,
  credentials,
  refusal,
  region,
  scratch,
  send,
  serve,
} from "./fixture.ts";

const start = new Date("2026-11-20T12:00:00Z");
const minutes = (count: number): Date => new Date(start.getTime() + count * 60_000);
const sha256 = (text: string): string => createHash("sha256").update(text).digest("base64");

test("the signatures of AWS's own examples come out", () => {
  const signer = signerOf({
    secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    timestamp: "20130524T000000Z",
    region: "us-east-1",
  });
  const host = ["host", "examplebucket.s3.amazonaws.com"] as const;
  const empty = createHash("sha256").digest("hex");
  const signature = (request: Parameters<typeof canonicalRequest>[0]) =>
    sign(signer, requestStringToSign(canonicalRequest(request), signer));
  const get = {
    method: "GET",
    path: "/test.txt",
    query: [],
    headers: [
      host,
      ["range", "bytes=0-9"],
      ["x-amz-content-sha256", empty],
      ["x-amz-date", "20130524T000000Z"],
    ] as const,
    payloadHash: empty,
  };
  expect(signature(get)).toBe("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  const presigned = {
    method: "GET",
    path: "/test.txt",
    query: [
      ["X-Amz-SignedHeaders", "host"],
      ["X-Amz-Algorithm", "AWS4-HMAC-SHA256"],
      ["X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"],
      ["X-Amz-Date", "20130524T000000Z"],
      ["X-Amz-Expires", "86400"],
    ] as const,
    headers: [host],
    payloadHash: "UNSIGNED-PAYLOAD",
  };
  expect(signature(presigned)).toBe(
    "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
  );
});

test("wrong secrets, keys and regions are told apart", async () => {
  const server = await serve();
  const list = (more: S3ClientConfig) =>
    refusal(clientOf(server, more).send(new ListBucketsCommand({})));
  const { accessKeyId, secretAccessKey } = credentials;
  expect(await list({})).toBe("no error");
  expect(await list({ credentials: { accessKeyId, secretAccessKey: "guess" } })).toBe(
    "SignatureDoesNotMatch 403",
  );
  expect(await list({ credentials: { accessKeyId: "other", secretAccessKey } })).toBe(
    "InvalidAccessKeyId 403",
  );
  expect(await list({ credentials: { ...credentials, sessionToken: "t" } })).toBe(
    "InvalidToken 400",
  );
  expect(await list({ region: "us-west-2" })).toBe("AuthorizationHeaderMalformed 400");
});

test("a clock more than fifteen minutes off is refused", async () => {
  let now = new Date();
  const { s3 } = await serve({ now: () => now });
  const list = () => refusal(s3.send(new ListBucketsCommand({})));
  now = new Date(Date.now() + 14 * 60_000);
  expect(await list()).toBe("no error");
  now = new Date(Date.now() + 16 * 60_000);
  expect(await list()).toBe("RequestTimeTooSkewed 403");
  now = new Date(Date.now() - 16 * 60_000);
  expect(await list()).toBe("RequestTimeTooSkewed 403");
});

test("an unsigned request and one of another scheme are refused", async () => {
  const { endpoint } = await serve();
  const bare = await send(`${endpoint}/${Bucket}/k`, {});
  expect([bare.status, codeOf(bare.text)]).toEqual([403, "AccessDenied"]);
  expect(bare.headers["content-type"]).toBe("application/xml");
  expect(bare.text).toContain(`<RequestId>${String(bare.headers["x-amz-request-id"])}</RequestId>`);
  const refused = async (authorization: string, more: Record<string, string> = {}) =>
    codeOf((await send(endpoint, { headers: { authorization, ...more } })).text);
  expect(await refused("AWS key:signature")).toBe("InvalidRequest");
  expect(await refused("AWS4-HMAC-SHA256 nonsense")).toBe("InvalidRequest");
  const hashed = { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" };
  expect(await refused("AWS4-HMAC-SHA256 nonsense", hashed)).toBe("AuthorizationHeaderMalformed");
});

test("whatever is changed after signing breaks the signature", async () => {
  const server = await serve({ now: () => start });
  const { endpoint } = server;
  const command = new PutObjectCommand({ Bucket, Key: "k", ContentType: "text/plain" });
  const url = await getSignedUrl(
    clientOf(server, { requestChecksumCalculation: "WHEN_REQUIRED" }),
    command,
    { signingDate: start, signableHeaders: new Set(["content-type"]) },
  );
  const put = async (changed: string, headers: Record<string, string>, method = "PUT") => {
    const path = changed.slice(endpoint.length);
    const body = Buffer.from(method === "PUT" ? "x" : "");
    const answer = await send(endpoint, { method, path, headers, body });
    return answer.status === 200 ? "no error" : codeOf(answer.text);
  };
  const type = { "content-type": "text/plain" };
  const cut = url.replace(/X-Amz-Signature=./, (found) =>
    found.endsWith("0") ? "X-Amz-Signature=1" : "X-Amz-Signature=0",
  );
  expect(await put(cut, type)).toBe("SignatureDoesNotMatch");
  expect(await put(url.replace("/k?", "/other?"), type)).toBe("SignatureDoesNotMatch");
  expect(await put(url, { "content-type": "text/html" })).toBe("SignatureDoesNotMatch");
  expect(await put(url.replace("Expires=900", "Expires=9000"), type)).toBe("SignatureDoesNotMatch");
  expect(await put(`${url}&tagging`, type)).toBe("SignatureDoesNotMatch");
  expect(await put(url, type, "DELETE")).toBe("SignatureDoesNotMatch");
  expect(await put(url, { ...type, "x-amz-tagging": "FPGA=true" })).toBe("AccessDenied");
  expect(await put(url, type)).toBe("no error");
});

test("a presigned URL lives from its date to its expiry", async () => {
  let now = start;
  const server = await serve({ now: () => now });
  const url = await getSignedUrl(clientOf(server), new GetObjectCommand({ Bucket, Key: "k" }), {
    signingDate: start,
    expiresIn: 600,
  });
  const code = async (changed = url) => codeOf((await send(changed, {})).text);
  expect(await code()).toBe("NoSuchKey");
  now = minutes(10);
  expect(await code()).toBe("NoSuchKey");
  now = new Date(minutes(10).getTime() + 1);
  expect(await code()).toBe("AccessDenied");
  expect((await send(url, {})).text).toContain("Request has expired");
  now = minutes(-16);
  expect((await send(url, {})).text).toContain("not valid yet");
  now = start;
  expect(await code(url.replace("Expires=600", "Expires=604801"))).toBe(
    "AuthorizationQueryParametersError",
  );
  expect(await code(url.replace(/&X-Amz-Date=\w+/, ""))).toBe("AuthorizationQueryParametersError");
});

test("a presigned PUT that names a SHA-256 takes those bytes and no others", async () => {
  const server = await serve();
  const client = clientOf(server, { requestChecksumCalculation: "WHEN_REQUIRED" });
  const command = new PutObjectCommand({ Bucket, Key: "image", ChecksumSHA256: sha256("good") });
  const url = await getSignedUrl(client, command);
  const asHeader = await getSignedUrl(client, command, {
    unhoistableHeaders: new Set(["x-amz-checksum-sha256"]),
  });
  const put = async (target: string, body: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(target, { method: "PUT", body, headers });
    return answer.ok ? "stored" : codeOf(await answer.text());
  };
  expect(await put(url, "evil")).toBe("BadDigest");
  expect(await put(url, "evil", { "x-amz-checksum-sha256": sha256("evil") })).toBe("AccessDenied");
  expect(await put(asHeader, "evil", { "x-amz-checksum-sha256": sha256("good") })).toBe(
    "BadDigest",
  );
  expect(await put(asHeader, "evil", { "x-amz-checksum-sha256": sha256("evil") })).toBe(
    "SignatureDoesNotMatch",
  );
  expect(await put(asHeader, "good")).toBe("SignatureDoesNotMatch");
  expect(server.events).toHaveLength(0);
  expect(await put(url, "good")).toBe("stored");
  expect(await put(asHeader, "good", { "x-amz-checksum-sha256": sha256("good") })).toBe("stored");
  expect(server.events).toHaveLength(2);
});

test("a URL presigned with the SDK's default checksum of an empty body refuses a body", async () => {
  const server = await serve();
  const url = await getSignedUrl(server.s3, new PutObjectCommand({ Bucket, Key: "k" }));
  expect(url).toContain("x-amz-checksum-crc32=AAAAAA%3D%3D");
  const answer = await fetch(url, { method: "PUT", body: "bytes" });
  expect([answer.status, codeOf(await answer.text())]).toEqual([400, "BadDigest"]);
});

test("a presigned GET serves ranges and the headers it was signed with", async () => {
  const server = await serve();
  await server.s3.send(new PutObjectCommand({ Bucket, Key: "a/../b c", Body: "0123456789" }));
  const command = new GetObjectCommand({
    Bucket,
    Key: "a/../b c",
    ResponseContentType: "text/x-signed",
  });
  const url = await getSignedUrl(server.s3, command);
  const path = url.slice(server.endpoint.length);
  const answer = await send(server.endpoint, { path, headers: { range: "bytes=-2" } });
  expect([answer.status, answer.text]).toEqual([206, "89"]);
  expect(answer.headers["content-type"]).toBe("text/x-signed");
});

test("the environment alone points an SDK client at the server", async () => {
  const { endpoint } = await serve();
  const home = await scratch();
  const environment = bucketEnvironment(endpoint, credentials, region);
  const before = { ...process.env };
  Object.assign(process.env, environment, { HOME: home });
  try {
    const { S3Client } = await import("@aws-sdk/client-s3");
    const client = new S3Client({});
    await client.send(new PutObjectCommand({ Bucket, Key: "k", Body: "x" }));
    client.destroy();
  } finally {
    for (const name of [...Object.keys(environment), "HOME"]) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
});
