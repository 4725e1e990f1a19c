import type { Identity } from "../parts/identity.ts";
import type { Reply } from "./errors.ts";
import type { Rule } from "./policy.ts";

/** One request that is allowed, as a handler sees it. */
export interface Call {
  readonly caller: Identity;
  /** Minor version of API 2. */
  readonly minor: number;
  /** Where the service is mounted: links begin with it. */
  readonly base: string;
  readonly path: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The body's JSON. 400 and 415 as {@link jsonOf} says. */
  readonly json: () => unknown;
  readonly requestId: string;
}

/** What one method of one path does. */
export interface Action {
  readonly rule: Rule;
  /** Query arguments it knows; `filters` stands for `filters[n].field` and `.value`. */
  readonly takes?: readonly string[];
  readonly run: (call: Call) => Promise<Reply>;
}

/** A path below `/v2`, such as `devices/{uuid}`, with what its methods do. */
export interface Endpoint {
  readonly path: string;
  readonly methods: Readonly<Partial<Record<"GET" | "POST" | "PATCH" | "DELETE", Action>>>;
}

/** An endpoint that was found, with the parts of its path. */
export interface Found {
  readonly endpoint: Endpoint;
  readonly path: Readonly<Record<string, string>>;
}

/** The endpoint of a path; undefined where nothing is. */
export function endpointOf(
  endpoints: readonly Endpoint[],
  segments: readonly string[],
): Found | undefined {
  for (const endpoint of endpoints) {
    const path = matched(endpoint.path.split("/"), segments);
    if (path !== undefined) return { endpoint, path };
  }
  return undefined;
}

function matched(
  pattern: readonly string[],
  segments: readonly string[],
): Readonly<Record<string, string>> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const path: Record<string, string> = {};
  for (const [index, wanted] of pattern.entries()) {
    const given = segments[index] ?? "";
    const [, name] = /^\{(\w+)\}$/.exec(wanted) ?? [];
    if (name === undefined && wanted !== given) return undefined;
    if (name !== undefined) path[name] = given;
  }
  return path;
}
