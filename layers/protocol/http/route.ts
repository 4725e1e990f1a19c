import type * as z from "zod/mini";

/**
 * Who may call: `reader` < `member` < `admin` by role; `public` needs no identity; `agent` checks
 * its own signed token. Within a role a caller sees only its own project unless it is an admin.
 */
export type Role = "public" | "agent" | "reader" | "member" | "admin";

/** One route: the row of the policy table, of the OpenAPI document and of serverless.yml. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly summary: string;
  readonly role: Role;
  readonly status: number;
  readonly body?: z.ZodMiniType;
  readonly query?: z.ZodMiniType;
  readonly answer?: z.ZodMiniType;
}
