import { randomBytes } from "node:crypto";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { ImageView } from "#protocol/http/images";
import { imageDigest } from "#protocol/images/digest";
import { encodeGbs } from "#protocol/images/encode-gbs";
import { readImageHeader } from "#protocol/images/header";
import { apiOf } from "../../localstack/hosts/api.ts";
import { until } from "../../localstack/tour/steps.ts";
import type { Benchmark } from "./figure.ts";
import { onStage } from "./load.ts";

const mebibyte = 1024 * 1024;
const sizeMiB = 100;

function largeGbs(): Buffer {
  return encodeGbs({
    interfaceId: "f10a0000-5eed-4a11-8000-00000000be9c",
    functionId: "c0ffee00-5eed-4a11-8000-00000000be9c",
    name: "large",
    payload: randomBytes(sizeMiB * mebibyte),
  });
}

/** Digest and header as the function and the agent do them, in chunks of a stream's size. */
function verifyMs(bytes: Buffer): number {
  const begun = performance.now();
  const digester = imageDigest();
  for (let at = 0; at < bytes.length; at += 64 * 1024) {
    digester.update(bytes.subarray(at, at + 64 * 1024));
  }
  const { head, size } = digester.final();
  readImageHeader(head, size);
  return performance.now() - begun;
}

/** A bitstream of 100 MiB: verified alone, and uploaded and ingested through everything. */
export const ingest: Benchmark = {
  name: "ingest",
  about: "From an upload to an active image on the offline cloud.",
  run: async () => {
    const bytes = largeGbs();
    verifyMs(bytes);
    const verify = verifyMs(bytes);
    return await onStage(async ({ cloud, credentials }) => {
      const s3 = new S3Client({ endpoint: cloud.bucketUrl, region: cloud.region, credentials });
      const api = apiOf(cloud.url, { "x-project-id": "bench", "x-roles": "admin" });
      const begun = performance.now();
      await s3.send(
        new PutObjectCommand({
          Bucket: cloud.bucket,
          Key: "images/bench/large.gbs",
          Body: bytes,
          Tagging: "FPGA=true&vendor=intel&type=crypto",
        }),
      );
      const image = await until("the image", async () => {
        const { items } = await api<{ items: ImageView[] }>("GET", "/v1/images");
        return items.find((one) => one.state === "active");
      });
      const whole = performance.now() - begun;
      s3.destroy();
      // The row is made when ingest begins, after the object is stored.
      const judged = Date.parse(image.updatedAt) - Date.parse(image.createdAt);
      const note = "upload, store, read, digest, header, pinned copy";
      return [
        { name: "verify 100 MiB, streamed", value: verify, unit: "ms", budget: { atMost: 600 } },
        { name: "upload and ingest", value: sizeMiB / (whole / 1000), unit: "MiB/s", note },
        { name: "ingest alone", value: sizeMiB / (judged / 1000), unit: "MiB/s" },
      ];
    });
  },
};
