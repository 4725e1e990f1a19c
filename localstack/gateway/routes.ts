import type { FunctionModel, RouteModel, ServiceModel } from "./service.ts";

/** A route found for a request. `key` is the event's `routeKey`. */
export interface RouteMatch {
  readonly key: string;
  readonly route: RouteModel;
  readonly target: FunctionModel;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Finds the route of a decoded path, or `undefined` where API Gateway answers 404. */
export type Router = (method: string, path: string) => RouteMatch | undefined;

type Segment =
  | { readonly kind: "exact"; readonly text: string }
  | { readonly kind: "parameter" | "greedy"; readonly name: string };

interface Candidate {
  readonly key: string;
  readonly route: RouteModel;
  readonly target: FunctionModel;
  readonly segments: readonly Segment[];
  readonly rank: string;
}

const ranks = { exact: "0", parameter: "1", greedy: "2" } as const;

function segmentOf(text: string): Segment {
  const match = /^\{([^}+]+)(\+?)\}$/.exec(text);
  if (match?.[1] === undefined) return { kind: "exact", text };
  return { kind: match[2] === "+" ? "greedy" : "parameter", name: match[1] };
}

function candidateOf(target: FunctionModel, route: RouteModel): Candidate {
  const isDefault = route.path === "$default";
  const segments = isDefault ? [] : route.path.split("/").slice(1).map(segmentOf);
  const place = isDefault ? "3" : segments.map(({ kind }) => ranks[kind]).join("");
  // The path decides first, a named method wins over ANY on equal paths.
  const rank = `${place}${route.method === "ANY" ? "b" : "a"}`;
  const key = isDefault ? "$default" : `${route.method} ${route.path}`;
  return { key, route, target, segments, rank };
}

function take(
  segments: readonly Segment[],
  parts: readonly string[],
): Record<string, string> | undefined {
  const parameters: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const part = parts[index];
    if (part === undefined) return undefined;
    if (segment.kind === "exact") {
      if (segment.text !== part) return undefined;
      continue;
    }
    const value = segment.kind === "greedy" ? parts.slice(index).join("/") : part;
    if (value === "") return undefined;
    parameters[segment.name] = value;
    if (segment.kind === "greedy") return parameters;
  }
  return segments.length === parts.length ? parameters : undefined;
}

function matches(
  candidate: Candidate,
  method: string,
  parts: readonly string[],
): RouteMatch | undefined {
  const { key, route, target, segments } = candidate;
  if (route.path === "$default") return { key, route, target, parameters: {} };
  if (route.method !== "ANY" && route.method !== method) return undefined;
  const parameters = take(segments, parts);
  return parameters && { key, route, target, parameters };
}

/**
 * API Gateway's route selection: the most specific path first, segment by segment (exact, then
 * `{name}`, then `{name+}`), then a named method before ANY, `$default` last. A trailing slash
 * is a segment of its own.
 */
export function createRouter(service: ServiceModel): Router {
  const candidates = service.functions
    .flatMap((target) => target.routes.map((route) => candidateOf(target, route)))
    .sort((one, other) => (one.rank < other.rank ? -1 : 1));
  return (method, path) => {
    const parts = path.split("/").slice(1);
    for (const candidate of candidates) {
      const match = matches(candidate, method, parts);
      if (match !== undefined) return match;
    }
    return undefined;
  };
}
