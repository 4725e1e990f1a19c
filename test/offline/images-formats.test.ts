import { generateKeyPairSync } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { afiFunctionId } from "#protocol/images/afi";
import { type ManifestStatement, signManifest } from "#protocol/images/manifest";
import { keyIdOf } from "#protocol/images/signing-key";
import type { Api } from "../../localstack/hosts/api.ts";
import { type Offline, startOffline } from "./support.ts";
import { imageWhen, judged, put, sha256Of } from "./uploads.ts";

const region = "69528db6-eb31-577a-9926-ab6d6c925a68";
const functionId = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
const agfi = "agfi-0123456789abcdef0";
const shell = { "interface-id": region };
const tags = { FPGA: "true", vendor: "xilinx", type: "crypto" };
const { publicKey, privateKey } = generateKeyPairSync("ed25519");

let offline: Offline;
let api: Api;

beforeAll(async () => {
  offline = await startOffline({ GATEHOUSE_SIGNATURE_POLICY: "optional" });
  api = offline.as("acme");
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  await api("POST", "/v1/keys", { name: "release", publicKey: pem });
});

afterAll(async () => {
  await offline.close();
});

/** What the trusted key says of a raw image with these bytes. */
function vouched(bytes: Buffer, changes: Partial<ManifestStatement> = {}) {
  const facts = { sha256: sha256Of(bytes), size: bytes.length, vendor: "xilinx", type: "crypto" };
  const statement = { ...facts, format: "raw", interfaceId: region, functionId, ...changes };
  return JSON.stringify(signManifest(statement, keyIdOf(publicKey), privateKey));
}

const bitstream = (name: string) => Buffer.from(`bitstream ${name}`);

test("an AFI is active with the shell of its tags and the function id of its AGFI", async () => {
  const key = "images/acme/afi.txt";
  await put(offline, key, `${agfi}\n`, { tags: { ...tags, ...shell } });
  expect(await judged(api, key)).toMatchObject({
    state: "active",
    format: "afi",
    size: 23,
    interfaceId: region,
    functionId: afiFunctionId(agfi),
  });
});

test.each([
  ["no-shell", agfi, {}, "IMAGE_METADATA_MISMATCH", /interface-id/],
  ["regional", "afi-0123456789abcdef0", {}, "IMAGE_HEADER_INVALID", /one region only/],
  ["afi-as-gbs", agfi, { ...shell, format: "gbs" }, "IMAGE_METADATA_MISMATCH", /format/],
  ["afi-as-raw", agfi, { format: "raw" }, "IMAGE_METADATA_MISMATCH", /format/],
  ["unsaid", "bitstream", {}, "IMAGE_FORMAT_UNKNOWN", /format=raw.*manifest/],
  ["unsigned", "bitstream", { format: "raw" }, "SIGNATURE_REQUIRED", /no header/],
] as const)("an upload %s is rejected with its reason", async (...refused) => {
  const [name, body, more, code, words] = refused;
  const key = `images/acme/${name}`;
  await put(offline, key, body, { tags: { ...tags, ...more } });
  const { state, reason } = await judged(api, key);
  expect([state, reason?.code]).toEqual(["rejected", code]);
  expect(reason?.message).toMatch(words);
});

test("a raw image is active with the ids of the manifest beside it", async () => {
  for (const [name, more] of [
    ["tagged.bit", { format: "raw" }],
    ["stated.bit", {}],
  ] as const) {
    const key = `images/acme/${name}`;
    const bytes = bitstream(name);
    await put(offline, `${key}.manifest.json`, vouched(bytes));
    await put(offline, key, bytes, { tags: { ...tags, ...more } });
    expect(await judged(api, key)).toMatchObject({
      state: "active",
      format: "raw",
      interfaceId: region,
      functionId,
    });
  }
});

test("a raw image that was rejected unsigned or unknown is healed by its manifest", async () => {
  for (const [name, more] of [
    ["late.rbf", { format: "raw" }],
    ["late.bin", {}],
  ] as const) {
    const key = `images/acme/${name}`;
    const bytes = bitstream(name);
    await put(offline, key, bytes, { tags: { ...tags, ...more } });
    expect((await judged(api, key)).state).toBe("rejected");
    await put(offline, `${key}.manifest.json`, vouched(bytes));
    const healed = await imageWhen(api, key, ({ state }) => state === "active");
    expect(healed).toMatchObject({ format: "raw", functionId });
  }
});

test("a raw image whose manifest is wrong is rejected", async () => {
  const { interfaceId: _, ...rest } = JSON.parse(vouched(bitstream("regionless"))).statement;
  const regionless = JSON.stringify(signManifest(rest, keyIdOf(publicKey), privateKey));
  const forged = JSON.parse(vouched(bitstream("forged")));
  forged.statement.functionId = region;
  for (const [name, manifest, code] of [
    ["regionless", regionless, "IMAGE_METADATA_MISMATCH"],
    ["forged", JSON.stringify(forged), "SIGNATURE_INVALID"],
    ["other", vouched(bitstream("another one")), "IMAGE_METADATA_MISMATCH"],
    ["claims-id", vouched(bitstream("claims-id")), "IMAGE_METADATA_MISMATCH"],
  ] as const) {
    const key = `images/acme/${name}`;
    const more = name === "claims-id" ? { "function-id": region } : {};
    await put(offline, `${key}.manifest.json`, manifest);
    await put(offline, key, bitstream(name), { tags: { ...tags, format: "raw", ...more } });
    const { state, reason } = await judged(api, key);
    expect([name, state, reason?.code]).toEqual([name, "rejected", code]);
  }
});

test("another statement does not turn an active raw image into another function", async () => {
  const key = "images/acme/steady.bit";
  const bytes = bitstream("steady");
  await put(offline, `${key}.manifest.json`, vouched(bytes));
  await put(offline, key, bytes, { tags });
  const { id } = await judged(api, key);
  const manifest = JSON.parse(vouched(bytes, { functionId: region }));
  await expect(api("POST", `/v1/images/${id}/signature`, { manifest })).rejects.toMatchObject({
    problem: { code: "IMAGE_METADATA_MISMATCH" },
  });
  expect(await judged(api, key)).toMatchObject({ state: "active", functionId });
});
