import { createHash } from "node:crypto";
import { encodeGbs } from "#protocol/images/encode-gbs";
import { encodeXclbin } from "#protocol/images/encode-xclbin";

/** A bitstream of the tour: true to its format, its payload is noise that no card would run. */
export interface TourBitstream {
  readonly file: string;
  readonly vendor: string;
  readonly type: string;
  readonly functionId: string;
  readonly bytes: Buffer;
}

/** Bytes that look like a bitstream and are the same in every run. */
function noise(seed: string, size: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(size / 64) }, (_, index) =>
    createHash("sha512").update(`${seed} ${index}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, size);
}

/** A partial-reconfiguration image (GBS) for one region of an Intel card. */
export function cryptoGbs(interfaceId: string): TourBitstream {
  const functionId = "c0ffee00-5eed-4a11-8000-00000000c4a7";
  const payload = noise("crypto", 1_500_000);
  const bytes = encodeGbs({ interfaceId, functionId, name: "crypto", payload });
  return { file: "crypto.gbs", vendor: "intel", type: "crypto", functionId, bytes };
}

/** The same developer's next build: other logic, the same interface. */
export function compressionGbs(interfaceId: string): TourBitstream {
  const functionId = "c0ffee00-5eed-4a11-8000-0000000021bb";
  const payload = noise("compression", 1_200_000);
  const bytes = encodeGbs({ interfaceId, functionId, name: "compression", payload });
  return { file: "compression.gbs", vendor: "intel", type: "compression", functionId, bytes };
}

/** An xclbin for the user partition of an Alveo card. */
export function vectorXclbin(interfaceId: string): TourBitstream {
  const functionId = "a1fe0000-5eed-4a11-8000-000000005ec7";
  const bytes = encodeXclbin({
    uuid: functionId,
    interfaceId,
    vbnv: "xilinx_u250_gen3x16_xdma_4_1",
    sections: [{ kind: 0, name: "bitstream", data: noise("vector", 2_000_000) }],
    timestamp: 1_700_000_000,
  });
  return { file: "vector.xclbin", vendor: "xilinx", type: "vector", functionId, bytes };
}
