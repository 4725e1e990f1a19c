import { Fault } from "#domain/faults";
import type { ImageHeader } from "./header.ts";
import { parseLooseUuid } from "./uuid.ts";

/** What an uploader says about an image, e.g. as object tags. All of it is optional. */
export interface ImageMetadata {
  readonly vendor?: string;
  /** Free word such as `crypto`. No header holds one, so nothing can contradict it. */
  readonly type?: string;
  readonly format?: string;
  readonly interfaceId?: string;
  readonly functionId?: string;
}

/** The two makers whose formats are read, under one name each. */
export type ImageVendor = "intel" | "xilinx";

/** Names people use for the makers: company names over time and PCI vendor ids (host.md §1.7). */
const vendorNames: ReadonlyMap<string, ImageVendor> = new Map([
  ["intel", "intel"],
  ["altera", "intel"],
  ["8086", "intel"],
  ["0x8086", "intel"],
  ["xilinx", "xilinx"],
  ["amd", "xilinx"],
  ["10ee", "xilinx"],
  ["0x10ee", "xilinx"],
]);

/** The one name of a maker, whatever it was called; undefined for a maker not known here. */
export function canonicalVendor(name: string): ImageVendor | undefined {
  return vendorNames.get(name.toLowerCase());
}

/** The maker whose cards take images of this format; undefined for raw, which any maker has. */
export function vendorOf(header: ImageHeader): ImageVendor | undefined {
  if (header.format === "raw") return undefined;
  return header.format === "gbs" ? "intel" : "xilinx";
}

/**
 * Compares what the uploader says with what the header proves. Ids may come with or without dashes
 * and in any case; an interface id is not compared when an xclbin names only its platform.
 * Throws IMAGE_METADATA_MISMATCH with {field, expected} of the first contradiction.
 */
export function checkMetadata(header: ImageHeader, metadata: ImageMetadata): void {
  const { vendor, format, interfaceId, functionId } = metadata;
  const maker = vendorOf(header);
  if (vendor !== undefined && maker !== undefined && canonicalVendor(vendor) !== maker) {
    throw metadataMismatch("vendor", maker);
  }
  if (format !== undefined && format.toLowerCase() !== header.format) {
    throw metadataMismatch("format", header.format);
  }
  checkId("interfaceId", interfaceId, header.interfaceId);
  checkId("functionId", functionId, header.functionId);
}

/** IMAGE_METADATA_MISMATCH: `field` was said to be other than `expected`, which the image proves. */
export function metadataMismatch(field: string, expected: string): Fault {
  return new Fault("IMAGE_METADATA_MISMATCH", `The ${field} contradicts the image`, {
    field,
    expected,
  });
}

function checkId(field: string, said: string | undefined, proven: string | undefined): void {
  if (said === undefined || proven === undefined) return;
  if (parseLooseUuid(said) !== proven) throw metadataMismatch(field, proven);
}
