import { createHash } from "node:crypto";
import { sameText } from "./authenticate.ts";
import { S3Error } from "./errors.ts";
import type { Signer } from "./sigv4.ts";
import { chunkStringToSign, sign, trailerStringToSign } from "./sigv4.ts";

/** Longer chunk headers and trailers than this are hostile: a header needs about 90 bytes. */
const maxLineBytes = 4096;
const maxTrailers = 8;

/** How an aws-chunked body is framed (S3 API reference, "Transferring payload in multiple chunks"). */
export interface ChunkFraming {
  /** Present when each chunk is signed: the signer and the signature of the request's head. */
  readonly chain?: { readonly signer: Signer; readonly seed: string };
  /** Whether trailing headers follow the last chunk. */
  readonly trailer: boolean;
}

/** Where the trailing headers are put when the body has been read; lower-case names. */
export type Trailers = Map<string, string>;

/**
 * Decodes an aws-chunked body and checks the signature of each chunk as it ends. Data is handed on
 * before its chunk is proven, so nothing may become visible until this ends without an error.
 * Throws SignatureDoesNotMatch, IncompleteBody, InvalidRequest.
 */
export async function* decodeChunks(
  source: AsyncIterable<Buffer>,
  framing: ChunkFraming,
  trailers: Trailers,
): AsyncIterable<Buffer> {
  const reader = new LineReader(source);
  try {
    yield* decode(reader, framing, trailers);
  } finally {
    await reader.release();
  }
}

async function* decode(
  reader: LineReader,
  framing: ChunkFraming,
  trailers: Trailers,
): AsyncIterable<Buffer> {
  let previous = framing.chain?.seed ?? "";
  for (;;) {
    const { size, signature } = chunkHeader(await reader.line());
    const hash = createHash("sha256");
    for await (const data of reader.take(size)) {
      if (framing.chain !== undefined) hash.update(data);
      yield data;
    }
    if (framing.chain !== undefined) {
      checkChunk(framing.chain.signer, { previous, signature, hash: hash.digest("hex") });
      previous = signature;
    }
    if (size === 0) break;
    if ((await reader.line()) !== "") throw badFraming();
  }
  await readEnd(reader, { framing, previous, trailers });
}

async function readEnd(
  reader: LineReader,
  end: { framing: ChunkFraming; previous: string; trailers: Trailers },
): Promise<void> {
  const { framing, previous, trailers } = end;
  let signed = "";
  let signature = "";
  for (let line = await reader.line(); line !== ""; line = await reader.line()) {
    const at = line.indexOf(":");
    if (!framing.trailer || at < 1 || trailers.size >= maxTrailers) throw badFraming();
    const name = line.slice(0, at).toLowerCase().trim();
    const value = line.slice(at + 1).trim();
    if (name === "x-amz-trailer-signature") {
      signature = value;
      continue;
    }
    trailers.set(name, value);
    signed += `${name}:${value}\n`;
  }
  if (await reader.more()) throw badFraming();
  if (framing.chain === undefined || !framing.trailer) return;
  const text = trailerStringToSign(framing.chain.signer, previous, signed);
  if (!sameText(sign(framing.chain.signer, text), signature)) throw wrongSignature();
}

function checkChunk(
  signer: Signer,
  chunk: { previous: string; signature: string; hash: string },
): void {
  const expected = sign(signer, chunkStringToSign(signer, chunk.previous, chunk.hash));
  if (!sameText(expected, chunk.signature)) throw wrongSignature();
}

function chunkHeader(line: string): { size: number; signature: string } {
  const match = /^([0-9a-fA-F]{1,10})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
  if (match === null) throw badFraming();
  return { size: Number.parseInt(match[1] ?? "", 16), signature: match[2] ?? "" };
}

function badFraming(): S3Error {
  return new S3Error("InvalidRequest", "The aws-chunked body is not framed as it should be.");
}

function wrongSignature(): S3Error {
  const message = "The chunk signature we calculated does not match the signature you provided.";
  return new S3Error("SignatureDoesNotMatch", message);
}

/** Cuts a byte stream into lines and runs of known length without collecting more than a line. */
class LineReader {
  private readonly source: AsyncIterator<Buffer>;
  private rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.source = source[Symbol.asyncIterator]();
  }

  /** The next line without its CRLF. A body that stops here is incomplete. */
  async line(): Promise<string> {
    for (;;) {
      const at = this.rest.indexOf("\r\n");
      if (at >= 0) {
        const line = this.rest.toString("latin1", 0, at);
        this.rest = this.rest.subarray(at + 2);
        return line;
      }
      if (this.rest.length > maxLineBytes) throw badFraming();
      if (!(await this.fill())) throw incompleteBody();
    }
  }

  /** The next `size` bytes in pieces as they come. */
  async *take(size: number): AsyncIterable<Buffer> {
    let left = size;
    while (left > 0) {
      if (this.rest.length === 0 && !(await this.fill())) throw incompleteBody();
      const piece = this.rest.subarray(0, left);
      this.rest = this.rest.subarray(piece.length);
      left -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }

  /** Whether anything follows; reading to the very end also frees the connection for its next request. */
  async more(): Promise<boolean> {
    while (this.rest.length === 0) if (!(await this.fill())) return false;
    return true;
  }

  /** Lets go of the source, which may still have bytes to come. */
  async release(): Promise<void> {
    await this.source.return?.();
  }

  private async fill(): Promise<boolean> {
    const next = await this.source.next();
    if (next.done === true) return false;
    this.rest = this.rest.length === 0 ? next.value : Buffer.concat([this.rest, next.value]);
    return true;
  }
}

/** The error for a body with fewer bytes than announced. */
export function incompleteBody(): S3Error {
  const message =
    "You did not provide the number of bytes specified by the Content-Length HTTP header";
  return new S3Error("IncompleteBody", message);
}
