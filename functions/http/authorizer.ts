import type { APIGatewayRequestAuthorizerEventV2 } from "aws-lambda";
import { type Create, entry, type Handler } from "../entry.ts";
import { type Identify, identifierFrom } from "../parts/identity.ts";
import { openstackFrom } from "../parts/openstack.ts";
import type { CallerContext } from "./call.ts";

/** A simple response of payload format 2.0: `isAuthorized: false` is 403. */
export type Verdict =
  | { readonly isAuthorized: true; readonly context: Required<CallerContext> }
  | { readonly isAuthorized: false };

const refused: Verdict = { isAuthorized: false };
/** Roles that the policy table of the native API knows; a service has no rights of its own there. */
const nativeRoles = new Set(["reader", "member", "manager", "admin"]);

/**
 * The authorizer of all routes with an identity. A missing or invalid token is Error("Unauthorized"),
 * which API Gateway answers with 401; a caller without project or role is 403. Any other failure,
 * such as of the issuer or of Keystone, is the gateway's 500: an authorizer has no 503 to give.
 */
export function authorizerFunction(identify: Identify): Handler<unknown, Verdict> {
  return async (event) => {
    const { headers } = event as Partial<APIGatewayRequestAuthorizerEventV2>;
    const identity = await identify(headers ?? {});
    if (identity === "unauthenticated") throw new Error("Unauthorized");
    if (identity === "forbidden") return refused;
    const { project, user, roles: said } = identity;
    const roles = said.filter((role) => nativeRoles.has(role));
    if (roles.length === 0) return refused;
    return { isAuthorized: true, context: { project, user, roles: roles.join(",") } };
  };
}

export const create: Create = (environment) =>
  authorizerFunction(identifierFrom(environment, openstackFrom(environment)));

export const handler = entry(create);
