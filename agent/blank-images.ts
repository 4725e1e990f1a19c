import { readdir, readFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { Fault, isFault } from "#domain/faults";
import { headBytesNeeded, readImageHeader } from "#protocol/images/header";
import { parseUuid } from "#protocol/images/uuid";
import { uuidOf } from "#protocol/uuid";
import type { BlankImage } from "./drivers/card-family.ts";
import { isKernelError } from "./host/sysfs-port.ts";

/**
 * Reads the images that erase, one for each shell, from the operator's folder. None when there is no
 * folder. Throws INVALID_REQUEST naming the file that cannot be read, is no bitstream, or is for a
 * shell that another file is for.
 */
export async function readBlankImages(folder: string): Promise<readonly BlankImage[]> {
  const images = new Map<string, BlankImage>();
  for (const name of await namesIn(folder)) {
    if (!/\.(gbs|xclbin|raw)$/.test(name)) continue;
    const image = await readBlank(join(folder, name));
    if (images.has(image.interfaceId)) {
      throw unusable(join(folder, name), `there are two for the shell ${image.interfaceId}`);
    }
    images.set(image.interfaceId, image);
  }
  return [...images.values()];
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (isKernelError(error, "ENOENT")) return [];
    throw unusable(folder, String(error));
  }
}

async function readBlank(path: string): Promise<BlankImage> {
  try {
    const bytes = await readFile(path);
    if (extname(path) === ".raw") return rawBlank(path, bytes);
    const header = readImageHeader(bytes.subarray(0, headBytesNeeded), bytes.length);
    const { functionId, interfaceId } = header;
    if (interfaceId === undefined) throw unusable(path, "it names no shell");
    const payloadOffset = header.format === "gbs" ? header.payloadOffset : 0;
    return { functionId, interfaceId, bytes, payloadOffset };
  } catch (error) {
    if (isFault(error, "INVALID_REQUEST")) throw error;
    throw unusable(path, error instanceof Error ? error.message : String(error));
  }
}

/** A raw bitstream says nothing of itself: its name is the shell, the operator's word is the proof. */
function rawBlank(path: string, bytes: Buffer): BlankImage {
  const interfaceId = parseUuid(basename(path, ".raw"));
  if (interfaceId === undefined)
    throw unusable(path, "its name is not the interface id of a shell");
  return { functionId: uuidOf("blank", interfaceId), interfaceId, bytes, payloadOffset: 0 };
}

function unusable(path: string, why: string): Fault {
  return new Fault("INVALID_REQUEST", `setting blankImages: ${path}: ${why}`, {
    field: "blankImages",
  });
}
