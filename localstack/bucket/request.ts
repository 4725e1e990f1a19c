import type { IncomingMessage } from "node:http";
import { S3Error } from "./errors.ts";
import { parseQuery, parseTarget } from "./uri.ts";

/** S3's longest key in UTF-8 bytes (S3 user guide, "Naming Amazon S3 objects"). */
const maxKeyBytes = 1024;

/** One request as the operations see it. */
export interface S3Request {
  readonly id: string;
  readonly method: string;
  /** The path as it came, still percent-encoded. */
  readonly path: string;
  readonly pairs: readonly (readonly [string, string])[];
  readonly query: ReadonlyMap<string, string>;
  /** Lower-case names; lines of the same name joined as SigV4 joins them. */
  readonly headers: ReadonlyMap<string, string>;
  readonly bucket: string;
  readonly key: string;
  readonly address: string;
  readonly body: AsyncIterable<Buffer>;
}

/** Parses path, query and headers; `id` is the request id to answer with. Throws InvalidURI, KeyTooLongError. */
export function parseRequest(
  message: IncomingMessage,
  id: string,
  acceptBody: () => void,
): S3Request {
  const url = message.url ?? "/";
  const at = url.indexOf("?");
  const path = at === -1 ? url : url.slice(0, at);
  const pairs = parseQuery(at === -1 ? "" : url.slice(at + 1));
  const target = parseTarget(path);
  if (Buffer.byteLength(target.key) > maxKeyBytes) {
    throw new S3Error("KeyTooLongError", "Your key is too long");
  }
  return {
    id,
    method: message.method ?? "GET",
    path,
    pairs,
    query: new Map(pairs.toReversed()),
    headers: headersOf(message),
    ...target,
    address: message.socket.remoteAddress ?? "",
    body: bodyOf(message, acceptBody),
  };
}

/**
 * A parameter that travels as a header, or as a query parameter of the same name when a presigned
 * URL carries it. The query wins, because it is what was signed into the URL.
 */
export function parameter(request: S3Request, name: string): string | undefined {
  const hoisted = request.pairs.find(([key]) => key.toLowerCase() === name);
  return hoisted?.[1] ?? request.headers.get(name);
}

/** All parameters whose names start with `prefix`, by lower-case name, without the prefix. */
export function parametersWith(request: S3Request, prefix: string): ReadonlyMap<string, string> {
  const hoisted = request.pairs.map(([name, value]) => [name.toLowerCase(), value] as const);
  const found = [...request.headers, ...hoisted].filter(([name]) => name.startsWith(prefix));
  return new Map(found.map(([name, value]) => [name.slice(prefix.length), value]));
}

function headersOf(message: IncomingMessage): ReadonlyMap<string, string> {
  const distinct = Object.entries(message.headersDistinct);
  const joined = distinct.map(
    ([name, values]) =>
      [name, (values ?? []).map((value) => value.trim().replace(/ +/g, " ")).join(",")] as const,
  );
  return new Map(joined);
}

async function* bodyOf(message: IncomingMessage, acceptBody: () => void): AsyncIterable<Buffer> {
  acceptBody();
  // Without this the message is destroyed when a refusal ends the loop early, and the client
  // would see a reset instead of the refusal.
  for await (const chunk of message.iterator({ destroyOnReturn: false })) yield chunk as Buffer;
}
