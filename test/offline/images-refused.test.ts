import { afterAll, beforeAll, expect, test } from "vitest";
import type { CreatedImage, ImageView } from "#protocol/http/images";
import type { Api } from "../../localstack/hosts/api.ts";
import { gbsBytes, gbsJson, xclbinBytes } from "../protocol/images/handmade.ts";
import { type Offline, startOffline } from "./support.ts";
import {
  cryptoTags,
  functionOf,
  gbs,
  imagesAt,
  intelRegion,
  judged,
  md5Of,
  problemOf,
  put,
  sha256Of,
} from "./uploads.ts";

const mostBytes = 100_000;
let offline: Offline;
let api: Api;

beforeAll(async () => {
  offline = await startOffline({ GATEHOUSE_MAX_IMAGE_BYTES: String(mostBytes) });
  api = offline.as("acme");
});

afterAll(async () => {
  await offline.close();
});

const cluster = /"accelerator-clusters": \[(.*)\]\}/;
const twoClusters = gbsJson.replace(cluster, '"accelerator-clusters": [$1, $1]}');

const badBytes: readonly (readonly [what: string, bytes: Buffer, code: string])[] = [
  ["an empty object", Buffer.alloc(0), "IMAGE_TRUNCATED"],
  ["a GBS that ends in its magic", gbs("cut").subarray(0, 9), "IMAGE_TRUNCATED"],
  ["a GBS that ends in its metadata", gbs("cut").subarray(0, 60), "IMAGE_TRUNCATED"],
  [
    "an xclbin that ends before its last section",
    xclbinBytes().subarray(0, 620),
    "IMAGE_TRUNCATED",
  ],
  ["an image over the limit", gbs("big", mostBytes + 1), "IMAGE_TOO_LARGE"],
  [
    "a file with another magic",
    Buffer.from("\x7fELF and more bytes than a magic has"),
    "IMAGE_FORMAT_UNKNOWN",
  ],
  [
    "a GBS whose JSON ends early",
    gbsBytes('{"version": 640, "afu-image":'),
    "IMAGE_HEADER_INVALID",
  ],
  [
    "a GBS whose JSON names a member twice",
    gbsBytes(gbsJson.replace("{", '{"version": 1, ')),
    "IMAGE_HEADER_INVALID",
  ],
  ["a GBS with two clusters", gbsBytes(twoClusters), "IMAGE_HEADER_INVALID"],
  [
    "a GBS that says it is 4 GB of metadata",
    gbsBytes(gbsJson, Buffer.alloc(8), 0xffff_ffff),
    "IMAGE_HEADER_INVALID",
  ],
];

test.each(badBytes)("%s is rejected: %s", async (what, bytes, code) => {
  const key = `images/acme/${what.replaceAll(" ", "-")}.gbs`;
  await put(offline, key, bytes, { tags: cryptoTags });
  const image = await judged(api, key);
  expect(image.state).toBe("rejected");
  expect(image.reason?.code).toBe(code);
  expect(image.reason?.message).not.toBe("");
  const claim = await problemOf(api("POST", "/v1/claims", { image: image.id }));
  expect(claim).toMatchObject({ code: "IMAGE_NOT_ACTIVE" });
});

const contradictions: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ["vendor", { vendor: "xilinx" }],
  ["vendor nobody knows", { vendor: "acme" }],
  ["interface id", { "interface-id": "69528db6-eb31-577a-8c36-68f9faa081f6" }],
  ["function id", { "function-id": functionOf("another") }],
];

test.each(contradictions)(
  "a header that contradicts the said %s is refused",
  async (what, said) => {
    const asTags = `images/acme/tags-${what.replaceAll(" ", "-")}.gbs`;
    const asMetadata = `images/acme/metadata-${what.replaceAll(" ", "-")}.gbs`;
    await put(offline, asTags, gbs("said"), { tags: { ...cryptoTags, ...said } });
    await put(offline, asMetadata, gbs("said"), { metadata: { ...cryptoTags, ...said } });
    for (const key of [asTags, asMetadata]) {
      const image = await judged(api, key);
      expect(image).toMatchObject({
        state: "rejected",
        reason: { code: "IMAGE_METADATA_MISMATCH" },
      });
    }
  },
);

test("ids that agree with the header are taken in any spelling", async () => {
  const key = "images/acme/agreed.gbs";
  const said = {
    "interface-id": intelRegion.toUpperCase(),
    "function-id": functionOf("agreed").replaceAll("-", ""),
  };
  await put(offline, key, gbs("agreed"), { tags: { ...cryptoTags, ...said } });
  expect(await judged(api, key)).toMatchObject({ state: "active" });
});

const hostile = [
  "..%2f..%2fetc%2fpasswd",
  "a/../../other/x.gbs",
  "./x.gbs",
  "a//x.gbs",
  "-rf.gbs",
  "back\\slash.gbs",
  "line\nbreak.gbs",
  "bell\u0007.gbs",
  "right\u202Eto-left.gbs",
  "zero\u200Bwidth.gbs",
  " blank.gbs",
];

test.each(hostile)("the name %j is refused and never becomes a path", async (name) => {
  const key = `images/acme/${name}`;
  await put(offline, key, gbs("hostile"), { tags: cryptoTags });
  expect(await judged(api, key)).toMatchObject({
    state: "rejected",
    project: "acme",
    reason: { code: "IMAGE_NAME_INVALID" },
  });
});

test("a name that looks like a link or a command is a label only", async () => {
  const key = "images/acme/link -> ; rm $(HOME) 'x'.gbs";
  await put(offline, key, gbs("label"), { tags: cryptoTags });
  expect(await judged(api, key)).toMatchObject({
    state: "active",
    name: "link -> ; rm $(HOME) 'x'.gbs",
  });
});

test("an object outside every project's folder is nobody's image", async () => {
  await put(offline, "images/loose.gbs", gbs("loose"), { tags: cryptoTags });
  await put(offline, "images/%2e%2e/x.gbs", gbs("loose"), { tags: cryptoTags });
  await put(offline, "images/acme/after-loose.gbs", gbs("after-loose"), { tags: cryptoTags });
  await judged(api, "images/acme/after-loose.gbs");
  expect(await imagesAt(api, "images/loose.gbs")).toEqual([]);
  expect(await imagesAt(api, "images/%2e%2e/x.gbs")).toEqual([]);
});

const announced = gbs("announced");
const facts = {
  sha256: sha256Of(announced),
  md5: md5Of(announced),
  size: announced.length,
};
const wrongFacts: readonly (readonly [string, object])[] = [
  ["sha256", { sha256: "0".repeat(64) }],
  ["md5", { md5: "0".repeat(32) }],
  ["size", { size: announced.length + 1 }],
];

test.each(wrongFacts)("bytes of another %s than announced are refused", async (fact, wrong) => {
  const body = { name: "wrong", vendor: "intel", type: "crypto", ...facts, ...wrong };
  const { image } = await api<CreatedImage>("POST", "/v1/images", body);
  await put(offline, image.objectKey, announced);
  const refused = await judged(api, image.objectKey);
  expect(refused).toMatchObject({
    id: image.id,
    state: "rejected",
    reason: { code: "IMAGE_CORRUPT" },
  });
  expect(refused.reason?.message).toContain(`${fact} is`);
});

const badAnnouncements: readonly (readonly [string, string, object])[] = [
  ["IMAGE_TOO_LARGE", "size", { size: mostBytes + 1 }],
  ["INVALID_REQUEST", "size", { size: 0 }],
  ["INVALID_REQUEST", "sha256", { sha256: "beef" }],
  ["INVALID_REQUEST", "md5", { md5: "beef" }],
  ["INVALID_REQUEST", "vendor", { vendor: "acme" }],
  ["INVALID_REQUEST", "visibility", { visibility: "secret" }],
  ["INVALID_REQUEST", "name", { name: "../x" }],
  ["INVALID_REQUEST", "bitstream", { bitstream: "x" }],
  ["SIGNATURE_INVALID", "manifest", { manifest: "x" }],
];

test.each(badAnnouncements)(
  "an announcement is refused with %s for %s",
  async (code, field, wrong) => {
    const body = { name: "wrong", vendor: "intel", type: "crypto", ...facts, ...wrong };
    const problem = await problemOf(api<ImageView>("POST", "/v1/images", body));
    expect(problem).toMatchObject({ code, field });
  },
);
