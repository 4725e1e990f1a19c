import { expect, test } from "vitest";
import type { CreatedImage } from "#protocol/http/images";
import { imagesFunction } from "../../functions/http/images.ts";
import type { Bucket } from "../../functions/parts/bucket.ts";
import { ask } from "./event.ts";
import { testStore } from "./rows.ts";

test("an announcement that is repeated after its memory has ended names the same image", async () => {
  const store = testStore();
  const presignPut = async () => ({ url: "https://bucket/put", headers: {} });
  const bucket = { presignPut } as Partial<Bucket> as Bucket;
  const settings = { signaturePolicy: "optional", maxImageBytes: 1000 } as const;
  const served = imagesFunction({ store, bucket, settings });
  const body = { name: "a", vendor: "intel", type: "crypto", sha256: "a".repeat(64), size: 10 };
  const announce = async () =>
    (await ask<CreatedImage>(served, "createImage", { body, key: "k1" })).image.id;
  const first = await announce();
  expect(await announce()).toBe(first);
  store.pass(27 * 3_600_000);
  expect(await announce()).toBe(first);
});
