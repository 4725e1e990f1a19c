import * as z from "zod/mini";
import type { Service } from "./cloud.ts";

/** Which of a service's endpoints is meant for us. */
export type Interface = "public" | "internal" | "admin";

const endpointSchema = z.looseObject({
  url: z.string(),
  interface: z.string(),
  region: z.optional(z.nullable(z.string())),
  region_id: z.optional(z.nullable(z.string())),
});

/** A token's catalog as Keystone v3 writes it. */
export const catalogSchema = z.array(
  z.looseObject({ type: z.string(), endpoints: z.array(endpointSchema) }),
);

/** Services and their endpoints as one token sees them. */
export type Catalog = z.infer<typeof catalogSchema>;

/** Which endpoint of a service is wanted; without a region the catalog's first one serves. */
export interface Choice {
  readonly interface: Interface;
  readonly region?: string | undefined;
}

/** The endpoint of a service, without a slash at its end; undefined when the catalog has none. */
export function endpointIn(
  catalog: Catalog,
  service: Service,
  { region, interface: wanted }: Choice,
): string | undefined {
  const found = catalog
    .filter(({ type }) => type === service)
    .flatMap(({ endpoints }) => endpoints)
    .find(
      (endpoint) =>
        endpoint.interface === wanted &&
        (region === undefined || region === (endpoint.region_id ?? endpoint.region)),
    );
  return found === undefined ? undefined : trimmed(found.url);
}

/** A URL without slashes at its end, so that a path can follow it. */
export function trimmed(url: string): string {
  return url.replace(/\/+$/, "");
}
