import { Fault, isFault } from "#domain/faults";
import type { AfiHeader } from "./afi.ts";
import { truncated } from "./faults.ts";
import { type ImageHeader, type RawHeader, readImageHeader } from "./header.ts";
import type { ManifestStatement } from "./manifest.ts";
import { metadataMismatch } from "./metadata.ts";
import { parseLooseUuid } from "./uuid.ts";

/** The file itself. */
export interface ImageFile {
  /** The first `headBytesNeeded` bytes, or all of a shorter file. */
  readonly head: Uint8Array;
  /** Bytes of the whole file. */
  readonly size: number;
}

/** What is said of an image apart from its bytes. */
export interface SaidOfImage {
  /** Tag, metadata or wire; asks for `raw`, which no magic can tell. Any case. */
  readonly format?: string | undefined;
  /** Tag, metadata or wire; with or without dashes, any case. */
  readonly interfaceId?: string | undefined;
  /** Of the manifest, of which the caller must still prove the signature. */
  readonly statement?: ManifestStatement | undefined;
}

/**
 * The facts of an image: what its bytes prove and, where a format has no header that could prove it,
 * what is said. Cloud and agent judge by this one function. The ids of a raw image are the
 * statement's, so whoever takes one must also verify the manifest, whatever the signature policy.
 * Throws IMAGE_TRUNCATED, IMAGE_FORMAT_UNKNOWN, IMAGE_HEADER_INVALID, IMAGE_METADATA_MISMATCH and,
 * for a raw image without manifest, SIGNATURE_REQUIRED; with {field, expected}.
 */
export function judgeImage({ head, size }: ImageFile, said: SaidOfImage): ImageHeader {
  const format = said.format ?? said.statement?.format;
  if (format?.toLowerCase() === "raw") return judgeRaw({ head, size }, said.statement);
  const header = readImageHeader(head, size);
  return header.format === "afi" ? withShell(header, said) : header;
}

function withShell(header: AfiHeader, { interfaceId, statement }: SaidOfImage): AfiHeader {
  const named = interfaceId ?? statement?.interfaceId;
  const shell = named === undefined ? undefined : parseLooseUuid(named);
  if (shell !== undefined) return { ...header, interfaceId: shell };
  throw new Fault(
    "IMAGE_METADATA_MISMATCH",
    "An AFI id does not tell its shell: say it as interface-id in the tags, or as interfaceId in the manifest",
    { field: "interfaceId", expected: "the uuid of the shell that the AFI was built for" },
  );
}

function judgeRaw(file: ImageFile, statement: ManifestStatement | undefined): RawHeader {
  refuseOtherFormats(file);
  if (file.size < 1) throw truncated("bitstream", "at least 1 byte");
  if (statement === undefined) {
    throw new Fault(
      "SIGNATURE_REQUIRED",
      "A raw image has no header that tells what it fits and does: only a signed manifest can",
      { field: "manifest", expected: "a signed statement with interfaceId and functionId" },
    );
  }
  const { interfaceId, functionId } = statement;
  if (interfaceId !== undefined) return { format: "raw", interfaceId, functionId };
  throw new Fault(
    "IMAGE_METADATA_MISMATCH",
    "The manifest of a raw image has to state its interfaceId",
    { field: "interfaceId", expected: "the uuid of the region that the image was built for" },
  );
}

/** A file with a header of its own is held to it: called raw, it would escape that check. */
function refuseOtherFormats({ head, size }: ImageFile): void {
  let known: string;
  try {
    known = readImageHeader(head, size).format;
  } catch (error) {
    if (isFault(error, "IMAGE_FORMAT_UNKNOWN")) return;
    throw error;
  }
  throw metadataMismatch("format", known);
}
