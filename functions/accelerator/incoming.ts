import type { APIGatewayProxyEventV2 } from "aws-lambda";
import type { RawBody } from "./content.ts";

/** A request as it came in. */
export interface Incoming {
  readonly method: string;
  /** Where the service is mounted, as the caller sees it: `http://host/accelerator` or `http://host`. */
  readonly base: string;
  /** `root` is the document of versions, `v2` everything else; undefined = nothing is there. */
  readonly area: "root" | "v2" | undefined;
  /** Path below `/v2`, without a trailing slash and without `.json`. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: RawBody;
}

const mount = "accelerator";

/** Reads an event of the gateway; links resolve on the mount that was used (openstack.md §4). */
export function incomingOf(event: APIGatewayProxyEventV2): Incoming {
  const { method } = event.requestContext.http;
  const parts = event.rawPath.split("/").filter((part) => part !== "");
  const isMounted = parts[0] === mount;
  const below = isMounted ? parts.slice(1) : parts;
  const headers = event.headers;
  const { area, segments } = placeOf(below, isMounted);
  return {
    method: method.toUpperCase(),
    base: `${originOf(event)}${isMounted ? `/${mount}` : ""}`,
    area,
    segments: withoutSuffix(segments),
    query: new URLSearchParams(event.rawQueryString),
    headers,
    body: { text: textOf(event), type: headers["content-type"] },
  };
}

/** `/accelerator/devices` is served as v2, any other version is not there (cyborg.md §1.1). */
function placeOf(
  below: readonly string[],
  isMounted: boolean,
): { readonly area: Incoming["area"]; readonly segments: readonly string[] } {
  const [first, ...rest] = below;
  if (first === undefined) return { area: isMounted ? "root" : undefined, segments: [] };
  if (first === "v2" || first === "v2.json") return { area: "v2", segments: rest };
  if (!isMounted || /^v\d/.test(first)) return { area: undefined, segments: [] };
  return { area: "v2", segments: below };
}

function withoutSuffix(segments: readonly string[]): readonly string[] {
  const last = segments.at(-1);
  if (last?.endsWith(".json") !== true) return segments;
  return [...segments.slice(0, -1), last.slice(0, -".json".length)];
}

function originOf({ headers, requestContext }: APIGatewayProxyEventV2): string {
  const [proto = "https"] = (headers["x-forwarded-proto"] ?? "https").split(",");
  const host = headers["host"] ?? requestContext.domainName;
  return `${proto.trim() === "http" ? "http" : "https"}://${host}`;
}

function textOf({ body = "", isBase64Encoded }: APIGatewayProxyEventV2): string {
  return isBase64Encoded ? Buffer.from(body, "base64").toString() : body;
}
