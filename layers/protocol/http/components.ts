import * as z from "zod/mini";
import * as join from "../join.ts";
import * as cards from "./cards.ts";
import * as claims from "./claims.ts";
import * as common from "./common.ts";
import * as deployables from "./deployables.ts";
import * as hosts from "./hosts.ts";
import * as images from "./images.ts";
import * as keys from "./keys.ts";
import * as openstack from "./openstack.ts";
import * as settings from "./settings.ts";

/** A JSON Schema or a part of an OpenAPI document. */
export type Json = { readonly [name: string]: unknown };

/** Every schema that bodies and answers are made of, under the name it is exported by. */
const named: ReadonlyMap<z.ZodMiniType, string> = new Map(
  [
    ...Object.entries({ problem: common.problem, trouble: common.trouble }),
    ...[join, deployables, cards, claims, hosts, images, keys, openstack, settings].flatMap(
      (module) => Object.entries(module),
    ),
  ]
    .filter((exported): exported is [string, z.ZodMiniType] => isComponent(...exported))
    .toReversed()
    .map(([name, schema]) => [schema, `${name.charAt(0).toUpperCase()}${name.slice(1)}`]),
);

/** Queries become parameters instead. */
function isComponent(name: string, exported: unknown): boolean {
  const isSchema = typeof exported === "object" && exported !== null && "_zod" in exported;
  return isSchema && !name.endsWith("Query");
}

const place = (id: string) => `#/components/schemas/${id}`;

/** All components as JSON Schema 2020-12 by name; they refer to each other. */
export function componentSchemas(): Json {
  const registry = z.registry<{ id: string }>();
  for (const [schema, id] of named) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io: "input", uri: place, override: plain });
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $schema: _dialect, $id: _id, ...schema }]) => [id, schema]),
  );
}

/** A reference to a component. Throws for a schema that has no name. */
export function referenceTo(schema: z.ZodMiniType): Json {
  const id = named.get(schema);
  if (id === undefined) throw new Error("a body or answer schema is not exported by name");
  return { $ref: place(id) };
}

/** The members of a query as JSON Schemas by name. */
export function queryMembers(query: z.ZodMiniType): Readonly<Record<string, Json>> {
  const { properties = {} } = z.toJSONSchema(query, { io: "output", override: plain });
  return properties as Readonly<Record<string, Json>>;
}

/** `date-time` says what zod's own pattern of 300 characters says. */
function plain({ jsonSchema }: { readonly jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (jsonSchema.format === "date-time") delete jsonSchema.pattern;
}
