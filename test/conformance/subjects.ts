import { createHash } from "node:crypto";
import { afiFunctionId } from "#protocol/images/afi";
import { encodeGbs } from "#protocol/images/encode-gbs";
import { encodeXclbin } from "#protocol/images/encode-xclbin";
import { readImageHeader } from "#protocol/images/header";
import type { BlankImage } from "../../agent/drivers/card-family.ts";
import type { Place, VerifiedImage } from "../../agent/drivers/driver.ts";
import { blankFunction } from "../../agent/host/memory-kernel/cards.ts";
import type { MemoryKernel } from "../../agent/host/memory-kernel/kernel.ts";
import { guest, toVfio } from "../agent/kernels.ts";
import type { DriverSubject } from "./driver.ts";

/** Two functions that images of the suite have. */
export const functions = {
  1: "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
  2: "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb",
} as const;

/** A whole blank image as an operator puts it into its folder. */
export function blankFile(format: "gbs" | "xclbin", interfaceId: string): Buffer {
  if (format === "gbs") {
    const payload = Buffer.alloc(64, 1);
    return encodeGbs({ interfaceId, functionId: blankFunction, name: "blank", payload });
  }
  return encodeXclbin({
    uuid: blankFunction,
    interfaceId,
    vbnv: "xilinx:u250:gen3x16:1.0",
    sections: [{ kind: 0, name: "bits", data: Buffer.alloc(64, 1) }],
    timestamp: 1,
  });
}

/** The same, read. */
export function blankImage(format: "gbs" | "xclbin", interfaceId: string): BlankImage {
  const bytes = blankFile(format, interfaceId);
  const header = readImageHeader(bytes, bytes.length);
  const payloadOffset = header.format === "gbs" ? header.payloadOffset : 0;
  return { functionId: blankFunction, interfaceId, bytes, payloadOffset };
}

/** A checked AFI, which is its id and no more. */
export function afiImage(agfi: string, interfaceId: string): VerifiedImage {
  const bytes = Buffer.from(`${agfi}\n`);
  return { ...checked(bytes), functionId: afiFunctionId(agfi), interfaceId, format: "afi" };
}

/** A checked raw bitstream, of which a manifest said what it is. */
export function rawImage(functionId: string, interfaceId: string): VerifiedImage {
  const bytes = Buffer.from(`bits of ${functionId}`);
  return { ...checked(bytes), functionId, interfaceId, format: "raw" };
}

function checked(bytes: Buffer) {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { id: "99999999-9999-4999-8999-999999999999", sha256, bytes, payloadOffset: 0 };
}

type Hands = Pick<DriverSubject, "intoGuest" | "breakCard" | "removeCard">;

/** What every kernel in memory can do to its cards. */
export function handsOf(kernel: MemoryKernel): Hands {
  const addressOf = ({ deployable }: Place, name: string) =>
    deployable.handles.find((handle) => handle.name === name)?.address ?? "";
  return {
    async intoGuest(place, handle) {
      const address = addressOf(place, handle);
      const node = await toVfio(kernel, address);
      await kernel.open(node, guest);
      return async () => {
        await kernel.close(node, guest.pid);
        await kernel.write(`/sys/bus/pci/devices/${address}/driver_override`, "\n", 1000);
        await kernel.write("/sys/bus/pci/drivers/vfio-pci/unbind", address, 1000);
        await kernel.write("/sys/bus/pci/drivers_probe", address, 1000);
      };
    },
    breakCard: ({ device }) => kernel.setBroken(slotOf(device), true),
    removeCard: ({ device }) => kernel.setPresent(slotOf(device), false),
  };
}

/** The simulated card that a function belongs to, its first one or another. */
function slotOf({ cardId }: Place["device"]): string {
  return cardId.replace(/\.[1-7]$/, "");
}
