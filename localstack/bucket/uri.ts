import { S3Error } from "./errors.ts";

/** RFC 3986 encoding as SigV4 wants it: everything but unreserved characters, in upper-case hex. */
export function encodeUri(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Percent-decodes; bytes that are not UTF-8 are refused with InvalidURI. */
export function decodeUri(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error("InvalidURI", "Couldn't parse the specified URI.");
  }
}

/** The decoded pairs of a query string in their order. A plus stays a plus: S3 signs it as one. */
export function parseQuery(query: string): readonly (readonly [string, string])[] {
  if (query === "") return [];
  return query.split("&").map((pair) => {
    const at = pair.indexOf("=");
    const name = at === -1 ? pair : pair.slice(0, at);
    return [decodeUri(name), at === -1 ? "" : decodeUri(pair.slice(at + 1))] as const;
  });
}

/**
 * Splits a path-style target such as `/bucket/some/key` into its decoded parts. The key is only
 * ever a name: dots and slashes in it mean nothing.
 */
export function parseTarget(path: string): { bucket: string; key: string } {
  const rest = path.startsWith("/") ? path.slice(1) : path;
  const at = rest.indexOf("/");
  if (at === -1) return { bucket: decodeUri(rest), key: "" };
  return { bucket: decodeUri(rest.slice(0, at)), key: decodeUri(rest.slice(at + 1)) };
}
