/** `*.localhost` never leaves the machine either (RFC 6761), and no web page can be served from it. */
const loopbackHost = /^(?:(?:[a-z0-9-]+\.)*localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i;

/**
 * Why a request cannot come from a person or a program on this machine; undefined = it can.
 * A web page can make a browser send requests to loopback, by a name it rebinds or across origins;
 * the browser then says so in these headers, which no page can change (design §8).
 */
export function foreignness(
  headers: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const { host, origin } = headers;
  if (host === undefined || !loopbackHost.test(host)) return `Host is ${host ?? "absent"}`;
  if (origin !== undefined && !isLoopbackOrigin(origin)) return `Origin is ${origin}`;
  return headers["sec-fetch-site"] === "cross-site" ? "Sec-Fetch-Site is cross-site" : undefined;
}

/** True for the URL of a server on this machine. */
export function isLoopbackOrigin(origin: string): boolean {
  const [, host] = /^https?:\/\/([^/@?#\\]+)$/i.exec(origin) ?? [];
  return host !== undefined && loopbackHost.test(host);
}
