import { join } from "node:path";
import { Fault } from "#domain/faults";
import { isUuid } from "#protocol/uuid";
import { type Files, nodeFiles, replaceFile } from "../host/files.ts";
import { addressParts } from "../host/pci.ts";
import type { BoundHandle, Hypervisor } from "./hypervisor.ts";

/** Vendor and class of our CDI devices. */
const vendor = "gatehouse.local";
const deviceClass = "fpga";

export interface CdiOptions {
  /** `/var/run/cdi` on a real host (host.md §4.5). */
  readonly directory: string;
  readonly files?: Files;
}

/**
 * Describes a handle to container runtimes: one file for each claim, gone with it. A second plug
 * writes the same file.
 */
export function cdi({ directory, files = nodeFiles }: CdiOptions): Hypervisor {
  return {
    name: "cdi",
    async plug(handle) {
      const path = fileOf(directory, handle);
      const spec = `${JSON.stringify(specOf(handle), undefined, 2)}\n`;
      try {
        await files.mkdir(directory, { recursive: true });
        await replaceFile(path, spec, files);
      } catch (error) {
        throw new Fault("PLUG_FAILED", "The CDI file could not be written", {}, { cause: error });
      }
      return { hypervisor: "cdi", pciAddress: handle.address, cdi: deviceName(handle) };
    },
    async unplug(handle) {
      try {
        await files.rm(fileOf(directory, handle), { force: true });
      } catch (error) {
        if (error instanceof Fault) throw error;
        throw new Fault("UNPLUG_FAILED", "The CDI file stays", {}, { cause: error });
      }
    },
  };
}

function fileOf(directory: string, { claim }: BoundHandle): string {
  if (!isUuid(claim)) throw new Fault("PLUG_FAILED", "The claim is not a uuid", { field: "claim" });
  return join(directory, `${vendor}-${deviceClass}-${claim}.json`);
}

const localName = ({ address, name }: BoundHandle): string =>
  `${address.replaceAll(/[:.]/g, "-")}-${name}`;

function deviceName(handle: BoundHandle): string {
  return `${vendor}/${deviceClass}=${localName(handle)}`;
}

/** Unknown members make a runtime refuse the whole file, so nothing is added to the form. */
function specOf(handle: BoundHandle) {
  const { iommuGroup, address } = handle;
  addressParts(address);
  if (iommuGroup === undefined) {
    throw new Fault("PLUG_FAILED", "A handle without an IOMMU group has no device node");
  }
  const nodes = ["/dev/vfio/vfio", `/dev/vfio/${iommuGroup}`];
  return {
    cdiVersion: "0.6.0",
    kind: `${vendor}/${deviceClass}`,
    devices: [
      {
        name: localName(handle),
        containerEdits: {
          deviceNodes: nodes.map((path) => ({
            path,
            hostPath: path,
            type: "c",
            permissions: "rw",
          })),
          env: [`GATEHOUSE_PCI_ADDRESS=${address}`],
        },
      },
    ],
  };
}
