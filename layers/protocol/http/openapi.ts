import { problem } from "./common.ts";
import { componentSchemas, type Json, queryMembers, referenceTo } from "./components.ts";
import type { Role, Route } from "./route.ts";

/** Statuses every caller should expect; the problem document's `code` tells more. */
const refusals = { 400: "Invalid", 401: "No identity", 403: "Not allowed", 404: "Not found" };

const securitySchemes = {
  bearer: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description: "OIDC token with project and roles (GATEHOUSE_AUTH=oidc)",
  },
  project: {
    type: "apiKey",
    in: "header",
    name: "X-Project-Id",
    description: "On loopback only, with X-Roles and X-User-Id (GATEHOUSE_AUTH=none)",
  },
  agent: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description: "60 s token signed by the agent's own key",
  },
};

/** Roles that need an identity all take the same two. */
function securityOf(role: Role): readonly Json[] {
  if (role === "public") return [];
  return role === "agent" ? [{}, { agent: [] }] : [{ bearer: [] }, { project: [] }];
}

/** The API as OpenAPI 3.1, from the same table that serves it. */
export function openapiOf(routes: Readonly<Record<string, Route>>, version: string): Json {
  const byPath = Map.groupBy(Object.entries(routes), ([, route]) => route.path);
  const paths = [...byPath].map(([path, served]) => [
    path,
    Object.fromEntries(
      served.map(([id, route]) => [route.method.toLowerCase(), operationOf(id, route)]),
    ),
  ]);
  return {
    openapi: "3.1.0",
    info: {
      title: "Gatehouse",
      version,
      summary: "Lends FPGA accelerators",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths: Object.fromEntries(paths),
    components: {
      schemas: componentSchemas(),
      securitySchemes,
      responses: { Problem: problemResponse("A problem (RFC 9457) with a stable code") },
    },
  };
}

function operationOf(operationId: string, route: Route): Json {
  const { summary, role, path, body } = route;
  return {
    operationId,
    summary,
    tags: [path.split("/").at(2) ?? "service"],
    security: securityOf(role),
    "x-gatehouse-role": role,
    parameters: parametersOf(route),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: json(referenceTo(body)) } }),
    responses: {
      [route.status]: answerOf(operationId, route),
      ...Object.fromEntries(
        Object.entries(refusals).map(([status, text]) => [status, problemResponse(text)]),
      ),
      default: { $ref: "#/components/responses/Problem" },
    },
  };
}

function parametersOf({ path, method, query, role }: Route): readonly Json[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const inQuery = Object.entries(query === undefined ? {} : queryMembers(query)).map(
    ([name, schema]) => ({ name, in: "query", required: false, schema }),
  );
  return method === "GET" || role === "agent"
    ? [...inPath, ...inQuery]
    : [...inPath, ...inQuery, idempotencyKey];
}

const idempotencyKey = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description: "The same key with the same body happens once; kept for a day",
  schema: { type: "string", minLength: 1, maxLength: 255 },
};

function answerOf(operation: string, { summary, answer }: Route): Json {
  const described = { description: summary };
  if (answer !== undefined) return { ...described, content: json(referenceTo(answer)) };
  return operation === "metrics"
    ? { ...described, content: { "text/plain": { schema: { type: "string" } } } }
    : { ...described, content: json({ type: "object" }) };
}

function problemResponse(description: string): Json {
  const schema = referenceTo(problem);
  return { description, content: { "application/problem+json": { schema } } };
}

function json(schema: Json): Json {
  return { "application/json": { schema } };
}
