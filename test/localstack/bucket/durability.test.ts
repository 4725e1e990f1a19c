import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { open, readdir, writeFile } from "node:fs/promises";
import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { expect, onTestFinished, test } from "vitest";
import type { BlobFile } from "../../../localstack/bucket/blobs.ts";
import { openDatabase, transact } from "../../../localstack/bucket/database.ts";
import { toS3Error } from "../../../localstack/bucket/errors.ts";
import { bucketHandler } from "../../../localstack/bucket/handler.ts";
import { startBucketServer } from "../../../localstack/bucket/server.ts";
import { openBucketStore } from "../../../localstack/bucket/store.ts";
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

const leftovers = async (dataDir: string): Promise<number[]> => {
  const directories = ["incoming", "blobs"].map((name) => readdir(join(dataDir, name)));
  return (await Promise.all(directories)).map((names) => names.length);
};

const put = (s3: S3Client, Key: string, Body: string) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body }));

const text = async (s3: S3Client, Key: string, VersionId?: string) =>
  (await s3.send(new GetObjectCommand({ Bucket, Key, VersionId }))).Body?.transformToString();

/** A presigned PUT that promises nothing of its body. */
function putUrl(server: { endpoint: string }, Key: string): Promise<string> {
  const client = clientOf(server, { requestChecksumCalculation: "WHEN_REQUIRED" });
  return getSignedUrl(client, new PutObjectCommand({ Bucket, Key }));
}

async function forkServer(dataDir: string): Promise<{ child: ChildProcess; endpoint: string }> {
  const options = JSON.stringify({ dataDir, buckets: [Bucket], credentials, region });
  const child = fork(new URL("./serve-child.ts", import.meta.url), [options]);
  onTestFinished(() => void child.kill("SIGKILL"));
  const [endpoint] = await once(child, "message");
  return { child, endpoint: String(endpoint) };
}

/** A disk whose files fail at one step until room is made. */
function fullDisk(step: keyof BlobFile) {
  let full = true;
  const fail = () => Promise.reject(Object.assign(new Error("full"), { code: "ENOSPC" }));
  const openFile = async (path: string): Promise<BlobFile> => {
    const file = await open(path, "wx");
    const real: BlobFile = {
      write: (data) => file.write(data),
      sync: () => file.sync(),
      close: () => file.close(),
    };
    return full ? { ...real, [step]: fail } : real;
  };
  const makeRoom = (): void => {
    full = false;
  };
  return { openFile, makeRoom };
}

test("objects, versions, tags and unfinished uploads outlive a restart", async () => {
  const first = await serve();
  const { dataDir } = first;
  const one = await put(first.s3, "k", "one");
  await first.s3.send(
    new PutObjectCommand({ Bucket, Key: "k", Body: "two", Tagging: "FPGA=true" }),
  );
  const at = { Bucket, Key: "parts" };
  const { UploadId } = await first.s3.send(new CreateMultipartUploadCommand(at));
  const part = { ...at, UploadId, PartNumber: 1 };
  const { ETag } = await first.s3.send(new UploadPartCommand({ ...part, Body: "part" }));
  await first.close();
  const { s3 } = await serve({ dataDir });
  expect(await text(s3, "k")).toBe("two");
  expect(await text(s3, "k", one.VersionId)).toBe("one");
  const { TagSet } = await s3.send(new GetObjectTaggingCommand({ Bucket, Key: "k" }));
  expect(TagSet).toEqual([{ Key: "FPGA", Value: "true" }]);
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  await s3.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload }));
  expect(await text(s3, "parts")).toBe("part");
});

test("a kill -9 in the middle of an upload loses nothing that was answered and shows nothing else", async () => {
  const dataDir = await scratch();
  const { child, endpoint } = await forkServer(dataDir);
  await put(clientOf({ endpoint }), "answered", "kept");
  const url = new URL(await putUrl({ endpoint }, "cut"));
  const upload = request(url, { method: "PUT", headers: { "content-length": "1000000" } });
  const ended = once(upload, "error");
  upload.write(Buffer.alloc(500_000));
  while ((await readdir(join(dataDir, "incoming"))).length === 0) await new Promise(setImmediate);
  child.kill("SIGKILL");
  await Promise.all([once(child, "exit"), ended]);
  await writeFile(join(dataDir, "blobs", "0".repeat(32)), "renamed, but never committed");
  const { s3 } = await serve({ dataDir });
  expect(await text(s3, "answered")).toBe("kept");
  expect(await refusal(text(s3, "cut"))).toBe("NoSuchKey 404");
  expect(await leftovers(dataDir)).toEqual([0, 1]);
});

test("an upload whose client goes away leaves nothing", async () => {
  const { dataDir, close, events, ...server } = await serve();
  const url = new URL(await putUrl(server, "cut"));
  const upload = request(url, { method: "PUT", headers: { "content-length": "1000000" } });
  upload.on("error", () => undefined);
  upload.write(Buffer.alloc(500_000));
  while ((await readdir(join(dataDir, "incoming"))).length === 0) await new Promise(setImmediate);
  upload.destroy();
  await close();
  expect(await leftovers(dataDir)).toEqual([0, 0]);
  expect(events).toEqual([]);
});

test.each<keyof BlobFile>(["write", "sync"])(
  "a disk that is full at %s answers 507 and leaves nothing half visible",
  async (step) => {
    const disk = fullDisk(step);
    const { s3, dataDir, events } = await serve({ openFile: disk.openFile });
    expect(await refusal(put(s3, "k", "x".repeat(100_000)))).toBe("InsufficientStorage 507");
    expect(await refusal(s3.send(new HeadObjectCommand({ Bucket, Key: "k" })))).toBe(
      "NotFound 404",
    );
    expect(await leftovers(dataDir)).toEqual([0, 0]);
    expect(events).toEqual([]);
    disk.makeRoom();
    await put(s3, "k", "room again");
    expect(await text(s3, "k")).toBe("room again");
  },
);

test("a catalogue that cannot grow undoes the whole transaction", async () => {
  const database = openDatabase(await scratch());
  onTestFinished(() => database.close());
  database.exec("PRAGMA max_page_count = 1");
  const insert = database.prepare("INSERT INTO buckets VALUES (?, ?)");
  const grow = () =>
    transact(database, () => {
      insert.run("small", "now");
      for (let n = 0; n < 50; n += 1) insert.run(`bucket ${n}`, "x".repeat(4000));
    });
  let error: unknown;
  try {
    grow();
  } catch (thrown) {
    error = thrown;
  }
  expect(toS3Error(error)).toMatchObject({ code: "InsufficientStorage", status: 507 });
  expect(database.prepare("SELECT count(*) AS n FROM buckets").get()).toEqual({ n: 0 });
  expect(transact(database, () => insert.run("small", "now").changes)).toBe(1);
});

test("an unexpected failure is an InternalError that tells nothing of the inside", () => {
  const error = toS3Error(new Error("ENOENT: /home/secret"));
  expect(error).toMatchObject({ code: "InternalError", status: 500 });
  expect(error.message).not.toContain("secret");
});

test("a second server on the same data is refused", async () => {
  const { dataDir } = await serve();
  const options = { dataDir, buckets: [Bucket], credentials, region };
  await expect(startBucketServer(options)).rejects.toThrow("cannot be opened");
});

test("a port that is taken is refused and lets the data go", async () => {
  const { port } = await serve();
  const dataDir = await scratch();
  const options = { dataDir, buckets: [Bucket], credentials, region };
  await expect(startBucketServer({ ...options, port })).rejects.toThrow("EADDRINUSE");
  const second = await startBucketServer(options);
  await second.close();
});

test("a hundred megabytes go in and out without being held in memory", async () => {
  const size = 100 * 1024 * 1024;
  const { child, endpoint } = await forkServer(await scratch());
  const s3 = clientOf({ endpoint });
  await put(s3, "warm", "up");
  const peak = async (): Promise<number> => {
    child.send("peak");
    const [kilobytes] = await once(child, "message");
    return Number(kilobytes) / 1024;
  };
  const before = await peak();
  const megabyte = Buffer.alloc(1024 * 1024, "x");
  const Body = Readable.from(Array.from({ length: 100 }, () => megabyte));
  await s3.send(new PutObjectCommand({ Bucket, Key: "big", Body, ContentLength: size }));
  const got = await s3.send(new GetObjectCommand({ Bucket, Key: "big" }));
  let read = 0;
  for await (const piece of got.Body as Readable) read += (piece as Buffer).length;
  expect(read).toBe(size);
  expect((await peak()) - before).toBeLessThan(80);
});

test("a body over the limit is refused before it is read", async () => {
  const { s3 } = await serve({ maxObjectBytes: 10 });
  expect(await refusal(put(s3, "k", "0123456789"))).toBe("no error");
  expect(await refusal(put(s3, "k", "0123456789+"))).toBe("EntityTooLarge 400");
});

/** Puts 3,000,000 bytes at a time over at most one kept connection; `ports` tells which were used. */
function oneConnection() {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const ports = new Set<number | undefined>();
  const upload = (url: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const sent = request(url, { method: "PUT", agent }, (answer) => {
        ports.add(sent.socket?.localPort);
        answer.resume().on("end", () => resolve(answer.statusCode));
      });
      sent.on("error", reject).end(Buffer.alloc(3_000_000));
    });
  return { ports, upload };
}

test("an upload refused at its head leaves the connection fit for the next request", async () => {
  const server = await serve();
  const { ports, upload } = oneConnection();
  const good = await putUrl(server, "k");
  const bad = good.replace("X-Amz-Signature=", "X-Amz-Signature=0");
  expect([await upload(bad), await upload(good), await upload(bad)]).toEqual([403, 200, 403]);
  expect(ports.size).toBe(1);
});

test("an upload refused in its middle leaves the connection fit for the next request", async () => {
  const disk = fullDisk("write");
  const server = await serve({ openFile: disk.openFile });
  const { ports, upload } = oneConnection();
  const url = await putUrl(server, "k");
  expect(await upload(url)).toBe(507);
  disk.makeRoom();
  expect(await upload(url)).toBe(200);
  expect(ports.size).toBe(1);
});

test("a chunked upload refused in its middle leaves the connection fit for the next", async () => {
  const disk = fullDisk("write");
  const server = await serve({ openFile: disk.openFile });
  const s3 = clientOf(server, {
    requestHandler: { httpAgent: { keepAlive: true, maxSockets: 1 } },
  });
  const stream = (): Promise<unknown> => {
    const Body = Readable.from(Array.from({ length: 30 }, () => Buffer.alloc(100_000)));
    return s3.send(new PutObjectCommand({ Bucket, Key: "k", Body, ContentLength: 3_000_000 }));
  };
  expect(await refusal(stream())).toBe("InsufficientStorage 507");
  disk.makeRoom();
  expect(await refusal(stream())).toBe("no error");
});

test("Expect: 100-continue is answered with the refusal, or with a call for the body", async () => {
  const server = await serve();
  const url = await putUrl(server, "k");
  const expecting = (target: string) =>
    new Promise<string>((resolve, reject) => {
      let invited = false;
      const headers = { expect: "100-continue", "content-length": "4" };
      const sent = request(new URL(target), { method: "PUT", headers }, (answer) => {
        resolve(`${invited} ${answer.statusCode} ${answer.headers.connection}`);
        answer.resume();
        if (!invited) sent.destroy();
      });
      sent.on("continue", () => {
        invited = true;
        sent.end("bits");
      });
      sent.on("error", reject);
      sent.flushHeaders();
    });
  expect(await expecting(url)).toMatch(/^true 200/);
  expect(await expecting(url.replace("Signature=", "Signature=0"))).toBe("false 403 close");
});

test("the handler serves behind a server that is not its own", async () => {
  const dataDir = await scratch();
  const store = await openBucketStore({ dataDir, buckets: [Bucket], credentials, region });
  const handle = bucketHandler(store);
  const server = createServer((message, response) => void handle(message, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.close();
    server.closeAllConnections();
    await store.close();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const s3 = clientOf({ endpoint });
  await put(s3, "k", "x".repeat(3_000_000));
  const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket }));
  expect(Contents).toMatchObject([{ Key: "k", Size: 3_000_000 }]);
  const broken = await send(endpoint, { path: "/images/%ff" });
  expect([broken.status, codeOf(broken.text)]).toEqual([400, "InvalidURI"]);
});
