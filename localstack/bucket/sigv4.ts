import { createHash, createHmac } from "node:crypto";
import { decodeUri, encodeUri } from "./uri.ts";

/** What a SigV4 signature covers. `timestamp` is `YYYYMMDDTHHMMSSZ`. */
export interface SignedRequest {
  readonly method: string;
  /** As on the request line, percent-encoded. */
  readonly path: string;
  /** Decoded; without the signature itself. */
  readonly query: readonly (readonly [string, string])[];
  /** Name and value of each signed header, names in lower case, sorted. */
  readonly headers: readonly (readonly [string, string])[];
  readonly payloadHash: string;
}

/** Who signs what chain: enough to check one signature or the chunk signatures that follow it. */
export interface Signer {
  readonly key: Buffer;
  readonly timestamp: string;
  /** `date/region/s3/aws4_request` */
  readonly scope: string;
}

/** SHA-256 of the empty text, which chunk signatures contain as a constant. */
const emptySha256 = sha256Hex("");

/** The key of one day, region and secret (AWS "Signature Version 4 signing process"). */
export function signerOf(options: { secret: string; timestamp: string; region: string }): Signer {
  const { secret, timestamp, region } = options;
  const date = timestamp.slice(0, 8);
  const parts = [date, region, "s3", "aws4_request"];
  const key = parts.reduce<Buffer>(
    (key, part) => createHmac("sha256", key).update(part).digest(),
    Buffer.from(`AWS4${secret}`),
  );
  return { key, timestamp, scope: parts.join("/") };
}

/** The canonical request text. S3 encodes a path once and never normalises its dots. */
export function canonicalRequest(request: SignedRequest): string {
  const path = request.path
    .split("/")
    .map((segment) => encodeUri(decodeUri(segment)))
    .join("/");
  const query = request.query
    .map(([name, value]) => `${encodeUri(name)}=${encodeUri(value)}`)
    .sort()
    .join("&");
  const headers = request.headers.map(([name, value]) => `${name}:${value}\n`).join("");
  const names = request.headers.map(([name]) => name).join(";");
  return [request.method, path, query, headers, names, request.payloadHash].join("\n");
}

/** The text that is signed for a request. */
export function requestStringToSign(canonical: string, signer: Signer): string {
  return ["AWS4-HMAC-SHA256", signer.timestamp, signer.scope, sha256Hex(canonical)].join("\n");
}

/** The text that is signed for one chunk of a streamed body, given the signature before it. */
export function chunkStringToSign(signer: Signer, previous: string, chunkHash: string): string {
  const kind = "AWS4-HMAC-SHA256-PAYLOAD";
  return [kind, signer.timestamp, signer.scope, previous, emptySha256, chunkHash].join("\n");
}

/** The text that is signed for the trailing headers of a streamed body. */
export function trailerStringToSign(signer: Signer, previous: string, trailer: string): string {
  const kind = "AWS4-HMAC-SHA256-TRAILER";
  return [kind, signer.timestamp, signer.scope, previous, sha256Hex(trailer)].join("\n");
}

/** The signature in hex. */
export function sign(signer: Signer, text: string): string {
  return createHmac("sha256", signer.key).update(text).digest("hex");
}

function sha256Hex(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
