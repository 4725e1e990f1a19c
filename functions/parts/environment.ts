import * as z from "zod/mini";
import type { Environment } from "../entry.ts";

/** A text; an empty variable is how shells and compose files say "not set". */
export const text = z.pipe(
  z.optional(z.string()),
  z.transform((value) => (value === "" ? undefined : value)),
);

/** One of some words, or `fallback` when nothing is said. */
export function choice<const Values extends readonly [string, ...string[]]>(
  values: Values,
  fallback: Values[number],
) {
  const known = z.enum(values, `expected ${values.join(" or ")}`);
  return z.pipe(
    z.pipe(
      text,
      z.transform((value) => value ?? fallback),
    ),
    known,
  );
}

/** What a schema makes of the environment; throws with the variable's name, never with its value. */
export function parsed<Schema extends z.ZodMiniType>(
  schema: Schema,
  environment: Environment,
): z.infer<Schema> {
  const result = schema.safeParse(environment);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Error(`${issue?.path.join(".") ?? "environment"}: ${issue?.message ?? "wrong"}`);
}
