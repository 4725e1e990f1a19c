import { createHash } from "node:crypto";
import {
  type ChecksumAlgorithm,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { startDigest } from "../../../localstack/bucket/checksums.ts";
import { decodeChunks, type Trailers } from "../../../localstack/bucket/chunked.ts";
import {
  canonicalRequest,
  chunkStringToSign,
  requestStringToSign,
  sign,
  signerOf,
  trailerStringToSign,
} from "../../../localstack/bucket/sigv4.ts";
import { Bucket, codeOf, credentials, refusal, region, send, serve } from "./fixture.ts";

const digest = (algorithm: Parameters<typeof startDigest>[0], text: string): Buffer => {
  const running = startDigest(algorithm);
  for (const byte of Buffer.from(text)) running.update(Buffer.from([byte]));
  return running.end();
};
const base64 = (algorithm: Parameters<typeof startDigest>[0], text: string): string =>
  digest(algorithm, text).toString("base64");

interface Signing {
  readonly payload: string;
  readonly headers?: Record<string, string>;
  /** Makes the body once the signature of the head is known. */
  readonly body: (signer: ReturnType<typeof signerOf>, seed: string) => Buffer;
}

/** Signs a PUT by hand, to say things that no SDK would. */
async function put(endpoint: string, key: string, { payload, headers = {}, body }: Signing) {
  const timestamp = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const signer = signerOf({ secret: credentials.secretAccessKey, timestamp, region });
  const all: Record<string, string> = {
    host: new URL(endpoint).host,
    "x-amz-date": timestamp,
    "x-amz-content-sha256": payload,
    ...headers,
  };
  const signed = Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1));
  const path = `/${Bucket}/${key}`;
  const canonical = canonicalRequest({
    method: "PUT",
    path,
    query: [],
    headers: signed,
    payloadHash: payload,
  });
  const seed = sign(signer, requestStringToSign(canonical, signer));
  const names = signed.map(([name]) => name).join(";");
  const authorization = `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${signer.scope}, SignedHeaders=${names}, Signature=${seed}`;
  const bytes = body(signer, seed);
  const answer = await send(endpoint, {
    method: "PUT",
    path,
    headers: { ...all, authorization, "content-length": String(bytes.length) },
    body: bytes,
  });
  return answer.status === 200 ? "stored" : codeOf(answer.text);
}

/** Frames chunks with their signatures, an optional trailer last. */
function frame(
  signer: ReturnType<typeof signerOf>,
  seed: string,
  { chunks, trailer }: { chunks: readonly string[]; trailer?: string },
): Buffer {
  let previous = seed;
  let framed = "";
  for (const chunk of [...chunks, ""]) {
    const hash = createHash("sha256").update(chunk).digest("hex");
    previous = sign(signer, chunkStringToSign(signer, previous, hash));
    framed += `${chunk.length.toString(16)};chunk-signature=${previous}\r\n`;
    if (chunk !== "") framed += `${chunk}\r\n`;
  }
  if (trailer !== undefined) {
    const signature = sign(signer, trailerStringToSign(signer, previous, `${trailer}\n`));
    framed += `${trailer}\r\nx-amz-trailer-signature:${signature}\r\n`;
  }
  return Buffer.from(`${framed}\r\n`);
}

test("the check values of all CRCs come out", () => {
  expect(digest("crc32", "123456789").toString("hex")).toBe("cbf43926");
  expect(digest("crc32c", "123456789").toString("hex")).toBe("e3069283");
  expect(digest("crc64nvme", "123456789").toString("hex")).toBe("ae8b14860a799888");
});

test.each<ChecksumAlgorithm>(["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])(
  "a %s that the SDK computes is verified, kept and given back",
  async (algorithm) => {
    const { s3 } = await serve();
    const field = `Checksum${algorithm}` as const;
    const lower = algorithm.toLowerCase() as Lowercase<typeof algorithm>;
    const value = base64(lower as Parameters<typeof startDigest>[0], "bits");
    const at = { Bucket, Key: "k" };
    const made = await s3.send(
      new PutObjectCommand({ ...at, Body: "bits", ChecksumAlgorithm: algorithm }),
    );
    expect(made).toMatchObject({ [field]: value, ChecksumType: "FULL_OBJECT" });
    const got = await s3.send(new GetObjectCommand({ ...at, ChecksumMode: "ENABLED" }));
    expect(got).toMatchObject({ [field]: value });
    expect(await got.Body?.transformToString()).toBe("bits");
    const wrong = new PutObjectCommand({ ...at, Body: "tampered", [field]: value });
    expect(await refusal(s3.send(wrong))).toBe("BadDigest 400");
    const head = await s3.send(new HeadObjectCommand({ ...at, ChecksumMode: "ENABLED" }));
    expect(head).toMatchObject({ [field]: value, ETag: made.ETag });
  },
);

test("an upload without a checksum gets a CRC-64 of its own", async () => {
  const { s3, endpoint } = await serve();
  const stored = await put(endpoint, "k", {
    payload: "UNSIGNED-PAYLOAD",
    body: () => Buffer.from("bits"),
  });
  expect(stored).toBe("stored");
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "k", ChecksumMode: "ENABLED" }));
  expect(head.ChecksumCRC64NVME).toBe(base64("crc64nvme", "bits"));
});

test("a body that is not what its head promised is refused and leaves nothing", async () => {
  const { s3, endpoint, events } = await serve();
  const hash = createHash("sha256").update("promised").digest("hex");
  const unsigned = { payload: "UNSIGNED-PAYLOAD", body: () => Buffer.from("other") };
  const promising = (headers: Record<string, string>) =>
    put(endpoint, "k", { ...unsigned, headers });
  expect(await put(endpoint, "k", { ...unsigned, payload: hash })).toBe(
    "XAmzContentSHA256Mismatch",
  );
  expect(await put(endpoint, "k", { ...unsigned, payload: "NONSENSE" })).toBe("InvalidArgument");
  expect(await promising({ "content-md5": base64("md5", "promised") })).toBe("BadDigest");
  expect(await promising({ "content-md5": "short" })).toBe("InvalidDigest");
  expect(await promising({ "x-amz-checksum-sha256": base64("sha256", "promised") })).toBe(
    "BadDigest",
  );
  expect(await promising({ "x-amz-checksum-sha256": "AAAA" })).toBe("InvalidRequest");
  expect(await promising({ "x-amz-checksum-xxhash3": "AAAA" })).toBe("InvalidRequest");
  expect(await promising({ "x-amz-sdk-checksum-algorithm": "CRC32" })).toBe("InvalidRequest");
  expect(
    await promising({
      "x-amz-checksum-md5": base64("md5", "other"),
      "x-amz-sdk-checksum-algorithm": "CRC32",
    }),
  ).toBe("InvalidRequest");
  expect(
    await promising({
      "x-amz-checksum-crc32": base64("crc32", "other"),
      "x-amz-checksum-sha1": base64("sha1", "other"),
    }),
  ).toBe("InvalidRequest");
  expect(events).toEqual([]);
  expect(await refusal(s3.send(new HeadObjectCommand({ Bucket, Key: "k" })))).toBe("NotFound 404");
  expect(await promising({ "content-md5": base64("md5", "other") })).toBe("stored");
  expect(await promising({ "x-amz-checksum-sha512": base64("sha512", "other") })).toBe("stored");
});

test("signed chunks are verified one by one", async () => {
  const { s3, endpoint } = await serve();
  const chunks = ["first ".repeat(2000), "second"];
  const headers = {
    "content-encoding": "aws-chunked,gzip",
    "x-amz-decoded-content-length": String(chunks.join("").length),
  };
  const stream = { payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", headers };
  const good = await put(endpoint, "k", { ...stream, body: (...by) => frame(...by, { chunks }) });
  expect(good).toBe("stored");
  const got = await s3.send(new GetObjectCommand({ Bucket, Key: "k" }));
  expect(await got.Body?.transformToString()).toBe(chunks.join(""));
  expect(got.ContentEncoding).toBe("gzip");
  const changed = (from: string, to: string) =>
    put(endpoint, "bad", {
      ...stream,
      body: (...by) =>
        Buffer.from(
          frame(...by, { chunks })
            .toString("latin1")
            .replace(from, to),
          "latin1",
        ),
    });
  expect(await changed("second", "Second")).toBe("SignatureDoesNotMatch");
  expect(await changed("first ", "firsT ")).toBe("SignatureDoesNotMatch");
  expect(await changed("\r\n6;", "\r\n5;")).toBe("SignatureDoesNotMatch");
  expect(await changed("\r\n6;", "\r\n7;")).toBe("IncompleteBody");
  expect(await changed(";chunk-signature=", ";no-signature=")).toBe("InvalidRequest");
  expect(await changed("\r\n0;", "\r\nfffff;")).toBe("IncompleteBody");
  const swapped = await put(endpoint, "bad", {
    ...stream,
    body: (signer) => frame(signer, "0".repeat(64), { chunks }),
  });
  expect(swapped).toBe("SignatureDoesNotMatch");
  expect(await refusal(s3.send(new HeadObjectCommand({ Bucket, Key: "bad" })))).toMatch(/404$/);
});

test("the decoded length has to be there and to be true", async () => {
  const { endpoint } = await serve();
  const stream = (length?: string) =>
    put(endpoint, "k", {
      payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
      headers: length === undefined ? {} : { "x-amz-decoded-content-length": length },
      body: (...by) => frame(...by, { chunks: ["12345"] }),
    });
  expect(await stream()).toBe("MissingContentLength");
  expect(await stream("4")).toBe("IncompleteBody");
  expect(await stream("6")).toBe("IncompleteBody");
  expect(await stream("5")).toBe("stored");
});

test("trailers carry the checksum, signed or not", async () => {
  const { endpoint } = await serve();
  const headers = {
    "x-amz-decoded-content-length": "4",
    "x-amz-trailer": "x-amz-checksum-crc32c",
  };
  const trailer = `x-amz-checksum-crc32c:${base64("crc32c", "bits")}`;
  const wrong = `x-amz-checksum-crc32c:${base64("crc32c", "bots")}`;
  const signed = (sent: string | undefined, more: (text: string) => string = (text) => text) =>
    put(endpoint, "k", {
      payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
      headers,
      body: (...by) => {
        const framed = frame(...by, {
          chunks: ["bits"],
          ...(sent === undefined ? {} : { trailer: sent }),
        });
        return Buffer.from(more(framed.toString("latin1")), "latin1");
      },
    });
  expect(await signed(trailer)).toBe("stored");
  expect(await signed(wrong)).toBe("BadDigest");
  expect(await signed(trailer, (text) => text.replace(trailer, wrong))).toBe(
    "SignatureDoesNotMatch",
  );
  expect(await signed(undefined)).toBe("SignatureDoesNotMatch");
  const unsigned = (end: string) =>
    put(endpoint, "k", {
      payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
      headers,
      body: () => Buffer.from(`4\r\nbits\r\n0\r\n${end}\r\n`),
    });
  expect(await unsigned(`${trailer}\r\n`)).toBe("stored");
  expect(await unsigned(`${wrong}\r\n`)).toBe("BadDigest");
  expect(await unsigned("")).toBe("InvalidRequest");
  expect(await unsigned(`no colon\r\n`)).toBe("InvalidRequest");
  expect(await unsigned(`${trailer}\r\n\r\nmore`)).toBe("InvalidRequest");
  expect(await unsigned("x".repeat(10_000))).toBe("InvalidRequest");
});

test("the chunk signatures of AWS's own example come out", () => {
  const signer = signerOf({
    secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    timestamp: "20130524T000000Z",
    region: "us-east-1",
  });
  const hash = (text: string) => createHash("sha256").update(text).digest("hex");
  const seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
  const first = sign(signer, chunkStringToSign(signer, seed, hash("a".repeat(65536))));
  expect(first).toBe("ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
  const second = sign(signer, chunkStringToSign(signer, first, hash("a".repeat(1024))));
  expect(second).toBe("0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497");
  const last = sign(signer, chunkStringToSign(signer, second, hash("")));
  expect(last).toBe("b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9");
});

test("a chunked body decodes the same however the network cuts it", async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.integer({ min: 1, max: 17 }), async (lengths, cut) => {
      const chunks = lengths.map((length, n) => String(n).repeat(length));
      const framed = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`);
      const bytes = Buffer.from(`${framed.join("")}0\r\nx-amz-checksum-crc32:v\r\n\r\n`);
      async function* network(): AsyncIterable<Buffer> {
        for (let at = 0; at < bytes.length; at += cut) yield bytes.subarray(at, at + cut);
      }
      const trailers: Trailers = new Map();
      let decoded = "";
      for await (const piece of decodeChunks(network(), { trailer: true }, trailers)) {
        decoded += piece.toString();
      }
      expect(decoded).toBe(chunks.join(""));
      expect(trailers).toEqual(new Map([["x-amz-checksum-crc32", "v"]]));
    }),
  );
});
