import { createHash, generateKeyPairSync } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parseManifest, verifyManifest } from "#protocol/images/manifest";
import { functionId, gbsBytes, interfaceId } from "../protocol/images/handmade.ts";
import { type FakeService, problem, startFakeService } from "./fake-service.ts";
import { ids, image } from "./samples.ts";
import { createShell, type ShellOptions } from "./shell.ts";

let service: FakeService;
beforeAll(async () => {
  service = await startFakeService();
});
beforeEach(() => service.reset());
afterAll(() => service.close());

const bytes = gbsBytes();
const sha256 = createHash("sha256").update(bytes).digest("hex");
const md5 = createHash("md5").update(bytes).digest("hex");
const pair = generateKeyPairSync("ed25519");
const privatePem = pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const publicPem = pair.publicKey.export({ type: "spki", format: "pem" }).toString();
const facts = { sha256, size: bytes.length, vendor: "intel", type: "crypto", format: "gbs" };
const now = new Date("2026-01-02T03:04:05Z");

const shell = (options: ShellOptions = {}) =>
  createShell({
    ...options,
    env: { GATEHOUSE_URL: service.url, GATEHOUSE_TOKEN: "secret", ...options.env },
    files: { "dir/aes core.gbs": bytes, "sign.pem": privatePem, ...options.files },
  });
const upload = ["images", "upload", "dir/aes core.gbs", "--vendor", "intel", "--type", "crypto"];
const requests = (operation: string) =>
  service.received.filter((one) => one.operation === operation);

describe("images upload", () => {
  test("announces digests and size, sends the bytes as presigned, waits until it is active", async () => {
    const states = ["pending", "verifying", "active"];
    service.on("getImage", (_, count) => ({ json: { ...image, state: states[count - 1] } }));
    const { code, out } = await shell().run(...upload, "--visibility", "shared");
    expect(code).toBe(0);
    expect(service.violations).toEqual([]);
    expect(requests("createImage")[0]?.body).toEqual({
      name: "aes_core.gbs",
      vendor: "intel",
      type: "crypto",
      sha256,
      md5,
      size: bytes.length,
      visibility: "shared",
    });
    const put = requests("bucket")[0];
    expect(put?.bytes.equals(bytes)).toBe(true);
    expect(put?.headers["content-length"]).toBe(String(bytes.length));
    expect(put?.headers["transfer-encoding"]).toBeUndefined();
    expect(put?.headers["x-amz-checksum-sha256"]).toBe("checksum");
    expect(put?.headers.authorization).toBeUndefined();
    expect(put?.query).toEqual({ signature: "1" });
    expect(requests("getImage")).toHaveLength(3);
    expect(out).toMatch(/^state +active$/m);
  });

  test("shows its progress as plain lines when nobody watches", async () => {
    const { err } = await shell().run(...upload);
    const sending = err.split("\n").filter((line) => line.startsWith("sending"));
    expect(sending.length).toBeGreaterThan(5);
    expect(sending.length).toBeLessThanOrEqual(11);
    expect(sending.at(-1)).toBe("sending 100 %");
    expect(err).not.toContain("\r");
  });

  test("draws a bar on a terminal and takes it away", async () => {
    const { err } = await shell({ columns: 80 }).run(...upload);
    expect(err).toContain(`\r\u001b[Ksending [${"#".repeat(30)}] 100 %`);
    expect(err.endsWith("\r\u001b[K")).toBe(true);
  });

  test("prints the id alone and no progress with --quiet", async () => {
    const { out, err } = await shell().run(...upload, "--quiet");
    expect(out).toBe(`${ids.image}\n`);
    expect(err).toBe("");
  });

  test("returns without a verdict with --no-wait", async () => {
    const { code, out } = await shell().run(...upload, "--no-wait");
    expect(code).toBe(0);
    expect(out).toMatch(/^state +pending$/m);
    expect(requests("getImage")).toEqual([]);
  });

  test("does not send again what is active already", async () => {
    const headers = {};
    const upload_ = { method: "PUT", url: "/bucket/x", headers, expiresAt: image.createdAt };
    service.on("createImage", () => ({ json: { image, upload: upload_ } }));
    expect((await shell().run(...upload)).code).toBe(0);
    expect(requests("bucket")).toEqual([]);
  });

  test("ends with the reason's class when the image is rejected", async () => {
    const reason = { code: "IMAGE_CORRUPT", message: "digest differs" };
    service.on("getImage", () => ({ json: { ...image, state: "rejected", reason } }));
    const { code, out, err } = await shell().run(...upload);
    expect(code).toBe(7);
    expect(out).toBe("");
    expect(err).toContain("error IMAGE_CORRUPT: digest differs");
  });

  test("ends with IMAGE_NOT_ACTIVE when it was retired meanwhile", async () => {
    service.on("getImage", () => ({ json: { ...image, state: "retired" } }));
    const { code, err } = await shell().run(...upload);
    expect(code).toBe(7);
    expect(err).toContain("error IMAGE_NOT_ACTIVE: The image is retired");
  });

  test("sends the bytes again from their start when the store is busy", async () => {
    service.on("bucket", (_, count) => ({ status: count < 3 ? 503 : 200, text: "" }));
    expect((await shell().run(...upload)).code).toBe(0);
    const puts = requests("bucket");
    expect(puts).toHaveLength(3);
    expect(puts.every((put) => put.bytes.equals(bytes))).toBe(true);
  });

  test.each([
    [400, "BadDigest", 7, "error IMAGE_CORRUPT: The store refused the bytes: no match"],
    [
      403,
      "AccessDenied",
      3,
      "error FORBIDDEN: The store refused the upload: AccessDenied no match",
    ],
    [500, "InternalError", 9, "error INTERNAL: The store refused the upload: InternalError"],
  ])("reports the store's %i %s", async (status, code, exit, said) => {
    const text = `<Error><Code>${code}</Code><Message>no match</Message></Error>`;
    service.on("bucket", () => ({ status, text }));
    const ended = await shell().run(...upload);
    expect(ended.code).toBe(exit);
    expect(ended.err).toContain(said);
  });

  test.each([
    ["no image", "text", "IMAGE_FORMAT_UNKNOWN", 7],
    ["a cut image", bytes.subarray(0, 30), "IMAGE_TRUNCATED", 7],
    ["nothing", "", "IMAGE_TRUNCATED", 7],
  ])("refuses %s before anything is sent", async (_, content, said, exit) => {
    const used = shell({ files: { "dir/aes core.gbs": content } });
    const { code, err } = await used.run(...upload);
    expect(err).toContain(`error ${said}: `);
    expect(code).toBe(exit);
    expect(service.received).toEqual([]);
  });

  test("refuses a vendor that contradicts the header", async () => {
    const line = ["images", "upload", "dir/aes core.gbs", "--vendor", "xilinx", "--type", "crypto"];
    const { code, err } = await shell().run(...line);
    expect(code).toBe(7);
    expect(err).toContain("error IMAGE_METADATA_MISMATCH");
    expect(service.received).toEqual([]);
  });
});

describe("a signature", () => {
  test("made with --key is of the file and verifies", async () => {
    const end = "2027-01-01T00:00:00Z";
    await shell().run(...upload, "--key", "sign.pem", "--not-after", end);
    const body = requests("createImage")[0]?.body as { manifest: unknown };
    const manifest = parseManifest(JSON.stringify(body.manifest));
    expect(manifest.statement).toEqual({ ...facts, interfaceId, functionId, notAfter: end });
    verifyManifest(manifest, publicPem, { ...facts, interfaceId, functionId }, now);
  });

  test("can be made without a service and given later, also through standard input", async () => {
    const text = await manifestText();
    expect(service.received).toEqual([]);
    const given = await shell({ stdin: text }).run("images", "sign", ids.image, "--manifest", "-");
    expect(given.code).toBe(0);
    expect(requests("signImage")[0]?.body).toEqual({ manifest: JSON.parse(text) as unknown });
  });

  const stored = { ...image, sha256, size: bytes.length, format: "gbs", functionId, interfaceId };

  test("of a stored image says when it rests on the service's word", async () => {
    service.on("getImage", () => ({ json: stored }));
    const { code, err } = await shell().run("images", "sign", ids.image, "--key", "sign.pem");
    expect(code).toBe(0);
    expect(err).toContain("signing what the service says");
    const body = requests("signImage")[0]?.body as { manifest: { statement: object } };
    expect(body.manifest.statement).toEqual({ ...facts, interfaceId, functionId });
  });

  test("with --file is made of the file, which must be that image", async () => {
    const line = ["images", "sign", ids.image, "--key", "sign.pem", "--file", "dir/aes core.gbs"];
    service.on("getImage", () => ({ json: stored }));
    const good = await shell().run(...line, "--wait");
    expect(good.code).toBe(0);
    expect(good.err).not.toContain("service says");
    service.on("getImage", () => ({ json: { ...stored, sha256: "00" } }));
    const bad = await shell().run(...line);
    expect(bad.code).toBe(7);
    expect(bad.err).toContain("dir/aes core.gbs is not this image (sha256: expected 00)");
    expect(requests("signImage")).toHaveLength(1);
  });

  test("of an image the service has not read yet asks for the file", async () => {
    const { code, err } = await shell().run("images", "sign", ids.image, "--key", "sign.pem");
    expect(code).toBe(5);
    expect(err).toContain("does not know the image's sha256 yet");
    expect(err).toContain("hint: sign its file: --file FILE");
  });

  test.each([
    [[], "--manifest or --key is missing"],
    [["--manifest", "m", "--key", "sign.pem"], "expected one of them"],
    [["--not-after", "2030-01-01T00:00:00Z"], "--not-after needs --key"],
    [["--key", "broken.pem"], "broken.pem is not a signing key"],
    [["--key", "rsa.pem"], "rsa.pem is not a signing key"],
  ])("asked for with %j is refused", async (flags, said) => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey;
    const files = {
      "broken.pem": "-----BEGIN PRIVATE KEY-----",
      "rsa.pem": rsa.export({ type: "pkcs8", format: "pem" }).toString(),
    };
    const { code, err } = await shell({ files }).run("images", "sign", ids.image, ...flags);
    expect(code).toBe(2);
    expect(err).toContain(said);
    expect(requests("signImage")).toEqual([]);
  });

  test("that is no manifest is refused unsent", async () => {
    const used = shell({ files: { m: "{}" } });
    const { code, err } = await used.run("images", "sign", ids.image, "--manifest", "m");
    expect(code).toBe(7);
    expect(err).toContain("error SIGNATURE_INVALID");
    expect(service.received).toEqual([]);
  });

  test("refused by the service ends with 7", async () => {
    service.on("signImage", () => problem("KEY_REVOKED", "revoked"));
    const used = shell({ stdin: (await manifestText()).trim() });
    expect((await used.run("images", "sign", ids.image, "--manifest", "-")).code).toBe(7);
  });
});

describe("images keygen", () => {
  test("makes a pair that signs and is trusted, private for its owner alone", async () => {
    const used = shell();
    const made = await used.run("images", "keygen", "--out", "new.pem");
    expect(made.code).toBe(0);
    expect(made.err).toContain("gatehouse keys add new.pem.pub");
    expect(used.files.get("new.pem")?.mode).toBe(0o600);
    const signed = await used.run(...upload, "--key", "new.pem");
    expect(signed.code).toBe(0);
    const body = requests("createImage")[0]?.body as { manifest: unknown };
    const pem = Buffer.from(used.files.get("new.pem.pub")?.bytes ?? []).toString();
    verifyManifest(parseManifest(JSON.stringify(body.manifest)), pem, facts, now);
  });

  test("never overwrites", async () => {
    const used = shell();
    const { code, err } = await used.run("images", "keygen", "--out", "sign.pem");
    expect(code).toBe(2);
    expect(err).toContain("sign.pem: exists already");
    expect(Buffer.from(used.files.get("sign.pem")?.bytes ?? []).toString()).toBe(privatePem);
  });
});

async function manifestText(): Promise<string> {
  const line = ["images", "manifest", "dir/aes core.gbs", "--vendor", "intel", "--type", "crypto"];
  const { code, out } = await shell().run(...line, "--key", "sign.pem");
  expect(code).toBe(0);
  return out;
}
