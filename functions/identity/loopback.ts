import type { CallerContext } from "../http/call.ts";

const loopbackNames = new Set(["127.0.0.1", "[::1]", "localhost"]);

/** True for `host[:port]` of this machine itself. */
function isLoopbackHost(host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(`http://${host}`)) return false;
  return loopbackNames.has(new URL(`http://${host}`).hostname);
}

/**
 * The caller a request names in the offline cloud, where nobody proves anything. Undefined when a web
 * page could be behind it: a Host that is not this machine (DNS rebinding), a foreign Origin, or a
 * browser that says the request crosses sites.
 */
export function loopbackCaller(
  headers: Readonly<Record<string, string | undefined>>,
): Required<CallerContext> | undefined {
  const { origin } = headers;
  const isForeign =
    !isLoopbackHost(headers["host"]) ||
    (origin !== undefined && !isLoopbackOrigin(origin)) ||
    headers["sec-fetch-site"] === "cross-site";
  if (isForeign) return undefined;
  return {
    project: headers["x-project-id"] ?? "default",
    user: headers["x-user-id"] ?? "anonymous",
    roles: headers["x-roles"] ?? "admin",
  };
}

function isLoopbackOrigin(origin: string): boolean {
  return URL.canParse(origin) && loopbackNames.has(new URL(origin).hostname);
}
