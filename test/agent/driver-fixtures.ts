import { createHash } from "node:crypto";
import { encodeGbs } from "#protocol/images/encode-gbs";
import { encodeXclbin } from "#protocol/images/encode-xclbin";
import { headBytesNeeded, readImageHeader } from "#protocol/images/header";
import type { Driver, Place, VerifiedImage, Work } from "../../agent/drivers/driver.ts";

/** Work that remembers its percentages. */
export function recordedWork(
  signal = new AbortController().signal,
): Work & { readonly seen: number[] } {
  const seen: number[] = [];
  return { seen, signal, progress: (percent) => seen.push(percent) };
}

/** Every deployable that a driver finds now, by `<card id> <region>`. */
export async function places(driver: Driver): Promise<ReadonlyMap<string, Place>> {
  const { devices } = await driver.discover();
  return new Map(
    devices.flatMap((device) =>
      device.deployables.map((deployable) => [
        `${device.cardId} ${deployable.region}`,
        { device, deployable },
      ]),
    ),
  );
}

/** A checked image as the cache hands it out. */
export function verifiedImage(
  format: "gbs" | "xclbin",
  functionId: string,
  interfaceId: string,
): VerifiedImage {
  const bytes =
    format === "gbs"
      ? encodeGbs({ interfaceId, functionId, name: "crypto", payload: Buffer.alloc(4096, 7) })
      : encodeXclbin({
          uuid: functionId,
          interfaceId,
          vbnv: "xilinx:u250:gen3x16:1.0",
          sections: [{ kind: 0, name: "bits", data: Buffer.alloc(4096, 7) }],
          timestamp: 1,
        });
  const header = readImageHeader(bytes.subarray(0, headBytesNeeded), bytes.length);
  return {
    id: "99999999-9999-4999-8999-999999999999",
    sha256: createHash("sha256").update(bytes).digest("hex"),
    functionId,
    interfaceId,
    format,
    bytes,
    payloadOffset: header.format === "gbs" ? header.payloadOffset : 0,
  };
}
