import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import {
  chmod,
  link,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import { encodeGbs } from "#protocol/images/encode-gbs";
import { encodeXclbin } from "#protocol/images/encode-xclbin";
import { signManifest } from "#protocol/images/manifest";
import { keyIdOf } from "#protocol/images/signing-key";
import type { ImageReference } from "#protocol/wire/shapes";
import type { Place, Work } from "../../../agent/drivers/driver.ts";
import { type Files, nodeFiles } from "../../../agent/host/files.ts";
import {
  type ImageCache,
  type ImageCacheOptions,
  openImageCache,
} from "../../../agent/host/image-cache.ts";

const shell = "69528db6-eb31-577a-9926-ab6d6c925a68";
const functionId = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));

let folder = "";
let server: Server;
let origin = "";
let answer: RequestListener = (_, response) => response.writeHead(404).end();
let requests = 0;

beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), "gatehouse-cache-")), "images");
  requests = 0;
  server = createServer((request, response) => {
    requests++;
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(join(folder, ".."), { recursive: true, force: true });
});

const serve =
  (bytes: Buffer): RequestListener =>
  (_, response) => {
    response.writeHead(200, { "content-length": bytes.length }).end(bytes);
  };

function gbs(size = 1000, interfaceId = shell): Buffer {
  return encodeGbs({ interfaceId, functionId, name: "crypto", payload: randomBytes(size) });
}

function referenceTo(bytes: Buffer, changes: Partial<ImageReference> = {}): ImageReference {
  const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest("hex");
  return {
    id: "99999999-9999-4999-8999-999999999999",
    url: `${origin}/images/secret-token`,
    size: bytes.length,
    sha256: hash("sha256"),
    md5: hash("md5"),
    format: "gbs",
    vendor: "intel",
    type: "crypto",
    interfaceId: shell,
    functionId,
    ...changes,
  };
}

async function open(changes: Partial<ImageCacheOptions> = {}): Promise<ImageCache> {
  return openImageCache({
    folder,
    capBytes: 1 << 20,
    fetch: (url, init) => fetch(url, init),
    allowedOrigins: [origin],
    sleep: async () => undefined,
    trust: { signature: "optional", keyOf: () => undefined, now: () => new Date(0) },
    ...changes,
  });
}

function work(signal = new AbortController().signal): Work & { readonly seen: number[] } {
  const seen: number[] = [];
  return { seen, signal, progress: (percent) => seen.push(percent) };
}

function placeFor(interfaceId: string | undefined = shell): Place {
  const deployable = {
    id: "77777777-7777-4777-8777-777777777777",
    region: "port0",
    ...(interfaceId !== undefined && { interfaceId }),
    programmable: true,
    sharing: "none" as const,
    loaded: { functionId: null },
    health: { state: "ok" as const },
    handles: [{ name: "vf0", type: "VF" as const, address: "0000:10:00.1", attachable: true }],
  };
  const device = {
    cardId: "slot",
    kind: "FPGA" as const,
    vendor: "intel",
    product: "pac",
    pciVendor: "8086",
    pciDevice: "09c4",
    address: "0000:10:00.0",
    driver: "simulated",
    layout: "regions" as const,
    deployables: [deployable],
  };
  return { device, deployable };
}

const fileOf = (image: ImageReference) => join(folder, `${image.sha256}.image`);
const files = async () => (await readdir(folder)).sort();

describe("downloading", () => {
  test("a good image is kept privately, with its md5 beside it, and is fetched once", async () => {
    const bytes = gbs();
    const image = referenceTo(bytes);
    answer = serve(bytes);
    const cache = await open();
    const at = work();
    expect(await cache.has(image)).toBe(false);
    await cache.fetch(image, at);
    await cache.fetch(image, work());
    expect(await cache.has(image)).toBe(true);
    expect(requests).toBe(1);
    expect(at.seen.at(-1)).toBe(100);
    expect(await readFile(fileOf(image))).toEqual(bytes);
    expect(await readFile(`${fileOf(image)}.md5`, "utf8")).toBe(`${image.md5}\n`);
    expect((await stat(fileOf(image))).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });

  test("two who want one image at the same time share one download", async () => {
    const bytes = gbs();
    answer = serve(bytes);
    const cache = await open();
    const image = referenceTo(bytes);
    await Promise.all([cache.fetch(image, work()), cache.fetch(image, work())]);
    expect(requests).toBe(1);
  });

  test("one who waited for a download that was called off fetches by himself", async () => {
    const bytes = gbs();
    const image = referenceTo(bytes);
    const stop = new AbortController();
    answer = (request, response) => {
      if (requests === 1) stop.abort(new Error("called off"));
      else serve(bytes)(request, response);
    };
    const cache = await open();
    const first = cache.fetch(image, work(stop.signal));
    const second = cache.fetch(image, work());
    await expect(first).rejects.toThrow("called off");
    await second;
    expect(await cache.has(image)).toBe(true);
  });

  test.each([
    ["sha256", { sha256: "0".repeat(64) }],
    ["md5", { md5: "0".repeat(32) }],
  ])("a wrong %s leaves nothing behind", async (_, wrong) => {
    const bytes = gbs();
    answer = serve(bytes);
    const cache = await open();
    await expect(cache.fetch(referenceTo(bytes, wrong), work())).rejects.toEqual(
      fault("IMAGE_CORRUPT"),
    );
    expect(requests).toBe(1);
    expect(await files()).toEqual([]);
  });

  test("an object that is shorter than it should be is corrupt", async () => {
    const bytes = gbs();
    answer = serve(bytes.subarray(0, 500));
    const cache = await open();
    await expect(cache.fetch(referenceTo(bytes), work())).rejects.toEqual(fault("IMAGE_CORRUPT"));
    expect(await files()).toEqual([]);
  });

  test("a transfer that breaks off is tried again", async () => {
    const bytes = gbs();
    answer = (request, response) => {
      if (requests > 2) return serve(bytes)(request, response);
      response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, 300), () => response.destroy());
    };
    const cache = await open();
    await cache.fetch(referenceTo(bytes), work());
    expect(requests).toBe(3);
  });

  test("a store that stays busy is given up after three attempts", async () => {
    answer = (_, response) => response.writeHead(503).end();
    const waits: number[] = [];
    const cache = await open({ sleep: async (ms) => void waits.push(ms) });
    await expect(cache.fetch(referenceTo(gbs()), work())).rejects.toEqual(fault("DOWNLOAD_FAILED"));
    expect(waits).toEqual([500, 1000]);
  });

  test("a store that refuses is not asked again, and no error names the URL", async () => {
    answer = (_, response) => response.writeHead(403).end();
    const cache = await open();
    const error = await cache.fetch(referenceTo(gbs()), work()).catch((caught: unknown) => caught);
    expect(error).toEqual(fault("DOWNLOAD_FAILED"));
    expect(JSON.stringify([error, String(error)])).not.toContain("secret-token");
    expect(requests).toBe(1);
  });

  test.each([true, false])(
    "more bytes than said end the transfer (said in advance: %s)",
    async (said) => {
      const bytes = gbs();
      const image = referenceTo(bytes.subarray(0, 600));
      answer = (_, response) => {
        response.writeHead(200, said ? { "content-length": bytes.length } : {}).end(bytes);
      };
      const cache = await open();
      await expect(cache.fetch(image, work())).rejects.toEqual(fault("IMAGE_TOO_LARGE"));
      expect(await files()).toEqual([]);
    },
  );

  test("an image above the cap is not even asked for", async () => {
    const cache = await open({ maxImageBytes: 10 });
    await expect(cache.fetch(referenceTo(gbs()), work())).rejects.toEqual(fault("IMAGE_TOO_LARGE"));
    expect(requests).toBe(0);
  });

  test("redirects are followed within the origin only", async () => {
    const bytes = gbs();
    const image = referenceTo(bytes);
    let location = "/elsewhere";
    answer = (request, response) => {
      if (request.url === "/elsewhere") return serve(bytes)(request, response);
      response.writeHead(307, { location }).end();
    };
    await (await open()).fetch(image, work());
    const other = referenceTo(gbs());
    for (location of ["http://localhost:1/x", "https://example.org/", "http://[", "file:///etc"]) {
      const cache = await open({ allowedOrigins: [origin, "https://example.org"] });
      await expect(cache.fetch(other, work())).rejects.toEqual(fault("DOWNLOAD_FAILED"));
    }
    location = "/images/secret-token";
    await expect((await open()).fetch(other, work())).rejects.toEqual(fault("DOWNLOAD_FAILED"));
  });

  test.each([
    "ftp://example.org/x",
    "http://example.org/x",
    "https://user:word@example.org/x",
    "https://other.example.org/x",
    "not a url",
  ])("%s is never contacted", async (url) => {
    let asked = 0;
    const cache = await open({
      allowedOrigins: ["http://example.org", "https://example.org", "ftp://example.org"],
      fetch: async () => {
        asked++;
        throw new Error("contacted");
      },
    });
    await expect(cache.fetch(referenceTo(gbs(), { url }), work())).rejects.toEqual(
      fault("DOWNLOAD_FAILED"),
    );
    expect(asked).toBe(0);
  });

  test("a call-off ends the transfer with the caller's own reason", async () => {
    const stop = new AbortController();
    answer = () => stop.abort(new Error("superseded"));
    const cache = await open();
    await expect(cache.fetch(referenceTo(gbs()), work(stop.signal))).rejects.toThrow("superseded");
    expect(requests).toBe(1);
  });
});

describe("room", () => {
  test("the image that was not used for longest goes first, a pinned one stays", async () => {
    const all = [gbs(300), gbs(300), gbs(300), gbs(300)];
    const images = all.map((bytes) => referenceTo(bytes));
    const [a, b, c, d] = images;
    if (!a || !b || !c || !d) throw new Error("four images");
    const cache = await open({ capBytes: a.size * 3 });
    for (const [index, image] of [a, b, c].entries()) {
      answer = serve(all[index] ?? Buffer.alloc(0));
      await cache.fetch(image, work());
      await utimes(fileOf(image), index, index);
    }
    const unpin = cache.pin(a.sha256);
    answer = serve(all[3] ?? Buffer.alloc(0));
    await cache.fetch(d, work());
    expect(await Promise.all(images.map((image) => cache.has(image)))).toEqual([
      true,
      false,
      true,
      true,
    ]);
    unpin();
    unpin();
    await utimes(fileOf(d), 9, 9);
    answer = serve(all[1] ?? Buffer.alloc(0));
    await cache.fetch(b, work());
    expect(await cache.has(a)).toBe(false);
  });

  test("use makes an image young", async () => {
    const bytes = gbs();
    const image = referenceTo(bytes);
    answer = serve(bytes);
    const cache = await open();
    await cache.fetch(image, work());
    await utimes(fileOf(image), 1, 1);
    await cache.verify(image, placeFor());
    expect((await stat(fileOf(image))).mtimeMs).toBeGreaterThan(1000);
  });

  test("a cache full of pinned images is a full disk", async () => {
    const bytes = gbs();
    const image = referenceTo(bytes);
    answer = serve(bytes);
    const cache = await open({ capBytes: image.size });
    await cache.fetch(image, work());
    cache.pin(image.sha256);
    await expect(cache.fetch(referenceTo(gbs()), work())).rejects.toEqual(fault("DISK_FULL"));
    expect(await cache.has(image)).toBe(true);
  });

  /** Each write fails until as many images were evicted. */
  function fullUntil(evictions: number): Files {
    let evicted = 0;
    return {
      ...nodeFiles,
      rm: async (...args) => {
        if (String(args[0]).endsWith(".image")) evicted++;
        await nodeFiles.rm(...args);
      },
      open: async (...args) => {
        const handle = await nodeFiles.open(...args);
        if (!String(args[0]).endsWith(".part")) return handle;
        const write = handle.write.bind(handle);
        handle.write = ((chunk: Uint8Array) =>
          evicted >= evictions
            ? write(chunk)
            : Promise.reject(Object.assign(new Error("full"), { code: "ENOSPC" }))) as never;
        return handle;
      },
    };
  }

  test("a disk that others filled is relieved of old images first", async () => {
    const old = gbs();
    const bytes = gbs();
    answer = serve(old);
    await (await open()).fetch(referenceTo(old), work());
    answer = serve(bytes);
    const cache = await open({ files: fullUntil(1) });
    await cache.fetch(referenceTo(bytes), work());
    expect(await cache.has(referenceTo(old))).toBe(false);
    expect(await cache.has(referenceTo(bytes))).toBe(true);
  });

  test("when nothing is left to evict the disk is full", async () => {
    const bytes = gbs();
    answer = serve(bytes);
    const cache = await open({ files: fullUntil(1) });
    await expect(cache.fetch(referenceTo(bytes), work())).rejects.toEqual(fault("DISK_FULL"));
    expect(await files()).toEqual([]);
  });

  test("what an interrupted download left is removed at the start", async () => {
    await open();
    await writeFile(join(folder, `${"a".repeat(64)}.part`), "half");
    await writeFile(join(folder, "stray"), "x");
    await open();
    expect(await files()).toEqual([]);
  });

  test("a folder that others can enter, or that is a link, is refused", async () => {
    await open();
    await chmod(folder, 0o755);
    await expect(open()).rejects.toEqual(fault("FORBIDDEN"));
    await chmod(folder, 0o700);
    const alias = `${folder}-alias`;
    await symlink(folder, alias);
    await expect(open({ folder: alias })).rejects.toEqual(fault("FORBIDDEN"));
  });
});

describe("use", () => {
  async function cached(bytes: Buffer, image = referenceTo(bytes), options = {}) {
    answer = serve(bytes);
    const cache = await open(options);
    await cache.fetch(image, work());
    return cache;
  }

  test("the buffer that was hashed is the one that is programmed", async () => {
    const bytes = gbs();
    const image = referenceTo(bytes);
    const verified = await (await cached(bytes)).verify(image, placeFor());
    expect(verified).toMatchObject({ id: image.id, functionId, interfaceId: shell, format: "gbs" });
    expect(verified.bytes).toEqual(bytes);
    expect(verified.bytes.subarray(verified.payloadOffset)).toHaveLength(1000);
  });

  test("an xclbin goes to the card whole", async () => {
    const bytes = encodeXclbin({
      uuid: functionId,
      interfaceId: shell,
      vbnv: "xilinx:u250:gen3x16:1.0",
      sections: [{ kind: 0, name: "bits", data: randomBytes(64) }],
      timestamp: 1,
    });
    const image = referenceTo(bytes, { format: "xclbin", vendor: "xilinx" });
    const verified = await (await cached(bytes, image)).verify(image, placeFor());
    expect(verified).toMatchObject({ format: "xclbin", payloadOffset: 0, functionId });
  });

  test("a file that was changed after its download is deleted, not programmed", async () => {
    const bytes = gbs();
    const image = referenceTo(bytes);
    const cache = await cached(bytes);
    const tampered = Buffer.from(bytes);
    tampered.writeUInt8(tampered.readUInt8(900) ^ 1, 900);
    await writeFile(fileOf(image), tampered);
    expect(await cache.has(image)).toBe(true);
    await expect(cache.verify(image, placeFor())).rejects.toEqual(fault("IMAGE_CORRUPT"));
    expect(await cache.has(image)).toBe(false);
    await cache.fetch(image, work());
    await cache.verify(image, placeFor());
  });

  test("a link in the file's place is not followed", async () => {
    const bytes = gbs();
    const image = referenceTo(bytes);
    const cache = await cached(bytes);
    const outside = join(folder, "..", "outside");
    await writeFile(outside, bytes);
    await rm(fileOf(image));
    await symlink(outside, fileOf(image));
    await expect(cache.verify(image, placeFor())).rejects.toEqual(fault("IMAGE_CORRUPT"));
    await link(outside, fileOf(image));
    await expect(cache.verify(image, placeFor())).rejects.toEqual(fault("IMAGE_CORRUPT"));
    expect(await readFile(outside)).toEqual(bytes);
  });

  test("a file that is not there is corrupt", async () => {
    await expect((await open()).verify(referenceTo(gbs()), placeFor())).rejects.toEqual(
      fault("IMAGE_CORRUPT"),
    );
  });

  test("an image for another shell is refused before it is near a card", async () => {
    const bytes = gbs();
    const cache = await cached(bytes);
    const other = placeFor("11111111-2222-4333-8444-555555555555");
    await expect(cache.verify(referenceTo(bytes), other)).rejects.toEqual(
      fault("IMAGE_INCOMPATIBLE"),
    );
  });

  test("what the cloud says must agree with the header", async () => {
    const bytes = gbs();
    const cache = await cached(bytes);
    const lie = referenceTo(bytes, { functionId: "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb" });
    await expect(cache.verify(lie, placeFor())).rejects.toEqual(fault("IMAGE_METADATA_MISMATCH"));
  });

  test("bytes that are no image are refused although their digest is right", async () => {
    const bytes = randomBytes(500);
    const cache = await cached(bytes);
    await expect(cache.verify(referenceTo(bytes), placeFor())).rejects.toEqual(
      fault("IMAGE_FORMAT_UNKNOWN"),
    );
  });
});

describe("signatures", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const keyId = keyIdOf(publicKey);
  const known = (changes = {}) => ({
    trust: {
      signature: "required" as const,
      keyOf: (id: string) => (id === keyId ? { publicKey } : undefined),
      now: () => new Date("2030-01-01T00:00:00Z"),
      ...changes,
    },
  });

  function signed(bytes: Buffer, changes: { notAfter?: string; type?: string } = {}) {
    const { size, sha256, vendor, type, format } = referenceTo(bytes);
    const statement = { sha256, size, vendor, type, format, interfaceId: shell, functionId };
    return referenceTo(bytes, {
      manifest: signManifest({ ...statement, ...changes }, keyId, privateKey),
    });
  }

  async function judge(image: ImageReference, bytes: Buffer, options: Partial<ImageCacheOptions>) {
    answer = serve(bytes);
    const cache = await open(options);
    await cache.fetch(image, work());
    return cache.verify(image, placeFor());
  }

  test("a trusted signature lets an image through", async () => {
    const bytes = gbs();
    expect((await judge(signed(bytes), bytes, known())).sha256).toBe(signed(bytes).sha256);
  });

  test("without one the policy decides", async () => {
    const bytes = gbs();
    await expect(judge(referenceTo(bytes), bytes, known())).rejects.toEqual(
      fault("SIGNATURE_REQUIRED"),
    );
    await judge(referenceTo(bytes), bytes, known({ signature: "optional" }));
  });

  test("a key that is not known here counts as no signature", async () => {
    const bytes = gbs();
    const strangers = { keyOf: () => undefined };
    await expect(judge(signed(bytes), bytes, known(strangers))).rejects.toEqual(
      fault("SIGNATURE_INVALID"),
    );
    await judge(signed(bytes), bytes, known({ ...strangers, signature: "optional" }));
  });

  test.each(["required", "optional"])("a revoked key is refused when %s", async (signature) => {
    const bytes = gbs();
    const revoked = { signature, keyOf: () => ({ publicKey, revoked: true }) };
    await expect(judge(signed(bytes), bytes, known(revoked))).rejects.toEqual(fault("KEY_REVOKED"));
  });

  test("a signature that has ended, is forged or speaks of something else is refused", async () => {
    const bytes = gbs();
    const ended = signed(bytes, { notAfter: "2029-12-31T00:00:00Z" });
    await expect(judge(ended, bytes, known())).rejects.toEqual(fault("SIGNATURE_EXPIRED"));
    const other = signed(bytes, { type: "compression" });
    await expect(judge(other, bytes, known())).rejects.toEqual(fault("IMAGE_METADATA_MISMATCH"));
    const { manifest } = signed(bytes);
    if (!manifest) throw new Error("signed");
    const statement = { ...manifest.statement, type: "compression" };
    const forged = referenceTo(bytes, { manifest: { ...manifest, statement } });
    await expect(judge(forged, bytes, known({ signature: "optional" }))).rejects.toEqual(
      fault("SIGNATURE_INVALID"),
    );
  });
});
