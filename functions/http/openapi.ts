import * as z from "zod/mini";
import { problem } from "#protocol/http/common";
import type { Route } from "#protocol/http/route";

/** A JSON Schema or a part of an OpenAPI document. */
type Json = Readonly<Record<string, unknown>>;

function schemaOf(schema: z.ZodMiniType): Json {
  // The document says its dialect once; every schema is inline.
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
  });
  return rest;
}

function bodyOf(schema: z.ZodMiniType): Json {
  return { content: { "application/json": { schema: schemaOf(schema) } } };
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
}

function queryParameters(query: z.ZodMiniType | undefined): Json[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(query) as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: required.includes(name),
    schema,
  }));
}

const idempotencyKey = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description: "The same key with the same body happens once; kept for a day.",
  schema: { type: "string", maxLength: 255 },
};

function operationOf(operationId: string, route: Route): Json {
  const { role, body, query, answer, status, summary, method, path } = route;
  const isWrite = method !== "GET";
  return {
    operationId,
    summary,
    description: `Role: ${role}.`,
    ...(role === "public" || role === "agent" ? { security: [] } : {}),
    parameters: [
      ...pathParameters(path),
      ...queryParameters(query),
      ...(isWrite && role !== "agent" ? [idempotencyKey] : []),
    ],
    ...(body === undefined ? {} : { requestBody: { required: true, ...bodyOf(body) } }),
    responses: {
      [status]: { description: summary, ...(answer === undefined ? {} : bodyOf(answer)) },
      default: { $ref: "#/components/responses/Problem" },
    },
  };
}

/** The API as an OpenAPI 3.1 document, from the same schemas that check requests. */
export function openApiOf(table: Readonly<Record<string, Route>>, version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const [operationId, route] of Object.entries(table)) {
    const path = (paths[route.path] ??= {});
    path[route.method.toLowerCase()] = operationOf(operationId, route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Gatehouse",
      version,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths,
    security: [{ bearer: [] }],
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
      responses: {
        Problem: {
          description: "RFC 9457 problem document with a stable code",
          content: { "application/problem+json": { schema: schemaOf(problem) } },
        },
      },
    },
  };
}
