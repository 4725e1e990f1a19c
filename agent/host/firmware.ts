import { Fault } from "#domain/faults";
import { handOver, sha256Of } from "./handed-file.ts";

/** The folder from which the kernel's firmware loader takes images by bare name (host.md §2.4). */
export interface FirmwareFolder {
  /**
   * Lends an image under a name nobody else uses at the same time. `user` is the PCI address it is
   * for. Throws as handOver, and what `use` throws.
   */
  lend<T>(user: string, bytes: Buffer, use: (name: string) => Promise<T>): Promise<T>;
}

/** A folder of this machine, such as `/lib/firmware`. */
export function firmwareFolder(folder: string): FirmwareFolder {
  return {
    lend(user, bytes, use) {
      const name = `gatehouse-${user.replace(/[^0-9a-f]/g, "-")}-${sha256Of(bytes)}.bin`;
      return handOver({ folder, name, bytes }, () => use(name));
    },
  };
}

/** For hosts whose cards need none. */
export const noFirmware: FirmwareFolder = {
  lend: async () => {
    throw new Fault("PROGRAM_FAILED", "This host has no firmware folder");
  },
};
