import { createHash } from "node:crypto";
import { Fault } from "#domain/faults";
import type { ActiveImage, Visibility } from "#domain/image";
import { encodeGbs } from "#protocol/images/encode-gbs";
import { encodeXclbin } from "#protocol/images/encode-xclbin";
import { uuidOf } from "#protocol/uuid";
import type { ImageReference } from "#protocol/wire/shapes";
import type { Place, VerifiedImage, Work } from "../../agent/drivers/driver.ts";
import type { ImageCache } from "../../agent/host/image-cache.ts";
import { trustImage } from "../../agent/host/image-trust.ts";
import { alveoCard, dflCard } from "../../agent/host/memory-kernel/cards.ts";
import type { SimBucket } from "./bucket.ts";
import type { Faults } from "./faults.ts";
import type { Random } from "./random.ts";
import { epoch } from "./time.ts";

/** Tenants of every run. */
export const projects = ["red", "green", "blue"] as const;

/** An image with its bytes, as the bucket has it. */
export interface StockImage {
  readonly row: ActiveImage;
  readonly bytes: Buffer;
}

export const formats = ["gbs", "xclbin"] as const;
const shells = { gbs: dflCard(0).interfaceId, xclbin: alveoCard(0).interfaceId };
type Format = keyof typeof shells;

function bytesOf(format: Format, functionId: string, name: string): Buffer {
  const data = Buffer.from(`bits of ${name}`);
  const interfaceId = shells[format];
  return format === "gbs"
    ? encodeGbs({ interfaceId, functionId, name, payload: data })
    : encodeXclbin({
        uuid: functionId,
        interfaceId,
        vbnv: "xilinx_u250_gen3x16_xdma_4_1",
        sections: [{ kind: 0, name: "bitstream", data }],
        timestamp: 1_700_000_000,
      });
}

/** An image of its own logic: another name is another function. */
export function stockImage(
  format: Format,
  project: string,
  name: string,
  see: Visibility,
): StockImage {
  const functionId = uuidOf("function", format, project, name);
  const bytes = bytesOf(format, functionId, name);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const row: ActiveImage = {
    id: uuidOf("image", format, project, name),
    project,
    name,
    vendor: format === "gbs" ? "intel" : "xilinx",
    type: name,
    visibility: see,
    state: "active",
    objectKey: `images/${project}/${name}`,
    size: bytes.length,
    sha256,
    md5: createHash("md5").update(bytes).digest("hex"),
    format,
    interfaceId: shells[format],
    functionId,
    verifiedKey: `verified/${sha256}`,
    createdAt: epoch,
    updatedAt: epoch,
    revision: 0,
  };
  return { row, bytes };
}

/** For each kind of card two public images, and a private one of each project. */
export function stockImages(): readonly StockImage[] {
  return formats.flatMap((format) => [
    stockImage(format, "red", "crypto", "public"),
    stockImage(format, "green", "compression", "shared"),
    ...projects.map((project) => stockImage(format, project, `secret-${project}`, "private")),
  ]);
}

/** What the image cache of one host works with. */
export interface CacheParts {
  readonly bucket: SimBucket;
  readonly faults: Faults;
  readonly random: Random;
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** Digests on the host's disk. */
  readonly kept: Set<string>;
}

/** Downloads take time and fail; what was downloaded is judged as on a real host. */
export function simCache({ bucket, faults, random, sleep, kept }: CacheParts): ImageCache {
  return {
    has: async ({ sha256 }) => kept.has(sha256),
    async fetch({ sha256 }: ImageReference, work: Work) {
      await sleep(20 + random.below(3000), work.signal);
      work.signal.throwIfAborted();
      if (faults.strikes("download", random)) throw new Fault("DOWNLOAD_FAILED");
      if (faults.strikes("disk-full", random)) throw new Fault("DISK_FULL");
      work.progress(100);
      kept.add(sha256);
    },
    async verify(image: ImageReference, place: Place): Promise<VerifiedImage> {
      const bytes = bucket.verified(image.sha256);
      if (bytes === undefined || !kept.has(image.sha256)) throw new Fault("IMAGE_CORRUPT");
      const now = () => new Date(epoch);
      const policy = { signature: "optional", keyOf: () => undefined, now } as const;
      const verified = trustImage(bytes, image, policy);
      if (verified.interfaceId === place.deployable.interfaceId) return verified;
      throw new Fault("IMAGE_INCOMPATIBLE");
    },
    pin: () => () => undefined,
  };
}
