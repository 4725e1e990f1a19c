import type { ChecksumAlgorithm } from "./checksums.ts";
import { algorithmNamed, checksumBytes } from "./checksums.ts";
import type { Trailers } from "./chunked.ts";
import { S3Error } from "./errors.ts";
import { parameter, parametersWith, type S3Request } from "./request.ts";

/** The checksum a client promises; its value may only be known once the trailers are read. */
export interface ClaimedChecksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly value: (trailers: Trailers) => string | undefined;
}

const prefix = "x-amz-checksum-";
/** Parameters with the checksum prefix that carry no checksum. */
const words = new Set(["algorithm", "type", "mode"]);

/**
 * Finds the one checksum of a request: a header, a signed query parameter, or a trailer that
 * x-amz-trailer announces. Throws InvalidRequest when there are several, when they contradict
 * x-amz-sdk-checksum-algorithm, or when a value cannot be one.
 */
export function claimedChecksum(request: S3Request): ClaimedChecksum | undefined {
  const given = [...parametersWith(request, prefix)].filter(([name]) => !words.has(name));
  const trailer = parameter(request, "x-amz-trailer")?.trim().toLowerCase();
  const trailing = trailer?.startsWith(prefix) ? trailer.slice(prefix.length) : undefined;
  if (trailer !== undefined && trailing === undefined) {
    throw invalid("The value specified in the x-amz-trailer header is not supported");
  }
  const names = [...given.map(([name]) => name), ...(trailing === undefined ? [] : [trailing])];
  if (names.length > 1) {
    throw invalid(
      "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    );
  }
  checkNamed(parameter(request, "x-amz-sdk-checksum-algorithm"), names[0]);
  const [name] = names;
  if (name === undefined) return undefined;
  const algorithm = algorithmNamed(name);
  return { algorithm, value: valueOf(algorithm, given[0]?.[1]) };
}

function checkNamed(named: string | undefined, found: string | undefined): void {
  if (named === undefined) return;
  if (found === undefined) {
    throw invalid(
      "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
    );
  }
  if (named.toLowerCase() !== found) {
    throw invalid("Value for x-amz-sdk-checksum-algorithm header is invalid.");
  }
}

function valueOf(algorithm: ChecksumAlgorithm, given: string | undefined) {
  if (given !== undefined) {
    checksumBytes(algorithm, given);
    return () => given;
  }
  return (trailers: Trailers) => {
    const value = trailers.get(prefix + algorithm);
    if (value !== undefined) return value;
    throw invalid("The trailer announced in x-amz-trailer is missing from the body.");
  };
}

function invalid(message: string): S3Error {
  return new S3Error("InvalidRequest", message);
}
