import type { APIGatewayRequestAuthorizerEventV2 } from "aws-lambda";
import type { JWTPayload } from "jose";
import { type Create, entry, type Handler } from "../entry.ts";
import { bearerVerifier, type Verify } from "../parts/bearer.ts";
import { foreignness } from "../parts/loopback.ts";
import { isProject } from "../parts/project.ts";
import { type Settings, settingsFrom } from "../parts/settings.ts";
import type { CallerContext } from "./call.ts";

/** A simple response of payload format 2.0: `isAuthorized: false` is 403. */
export type Verdict =
  | { readonly isAuthorized: true; readonly context: Required<CallerContext> }
  | { readonly isAuthorized: false };

/** What the authorizer works with. */
export interface Authorizing {
  readonly settings: Pick<Settings, "auth" | "oidc">;
  readonly fetch: typeof globalThis.fetch;
  readonly now: () => number;
  /** Milliseconds between two looks for an unknown key of the issuer. */
  readonly cooldownMs: number;
  /** Hears why a caller on loopback was refused. */
  readonly log: (message: string) => void;
}

type Headers = Readonly<Record<string, string | undefined>>;

const refused: Verdict = { isAuthorized: false };
const knownRoles = new Set(["reader", "member", "admin"]);

/**
 * The authorizer of all routes with an identity. A missing or invalid token is Error("Unauthorized"),
 * which API Gateway answers with 401; a caller without project or role is 403. Throws at once for a
 * mode that is not served.
 */
export function authorizerFunction(parts: Authorizing): Handler<unknown, Verdict> {
  const judge = judgeFor(parts);
  return async (event) => {
    const { headers } = event as Partial<APIGatewayRequestAuthorizerEventV2>;
    return await judge(headers ?? {});
  };
}

function judgeFor(parts: Authorizing): (headers: Headers) => Promise<Verdict> {
  const { auth, oidc } = parts.settings;
  switch (auth) {
    case "none":
      return async (headers) => loopbackCaller(headers, parts.log);
    case "oidc": {
      const verify = bearerVerifier({ ...parts, ...oidc });
      return async (headers) => await bearerCaller(headers, verify);
    }
    case "keystone":
      throw new Error("GATEHOUSE_AUTH: keystone is not available in this version, use oidc");
    default:
      return auth satisfies never;
  }
}

/** Whoever is on this machine is who it says it is. */
function loopbackCaller(headers: Headers, log: Authorizing["log"]): Verdict {
  const why = foreignness(headers);
  if (why !== undefined) {
    log(`refused: with GATEHOUSE_AUTH=none only loopback may call, and ${why}`);
    return refused;
  }
  return verdictOf({
    project: headers["x-project-id"] ?? "default",
    user: headers["x-user-id"] ?? "default",
    roles: headers["x-roles"] ?? "admin",
  });
}

async function bearerCaller(headers: Headers, verify: Verify): Promise<Verdict> {
  const [, token] =
    /^Bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(headers["authorization"] ?? "") ?? [];
  const claims = token === undefined ? undefined : await verify(token);
  if (claims === undefined) throw new Error("Unauthorized");
  return verdictOf({
    project: firstOf(claims, "gatehouse_project", "project_id"),
    user: claims.sub,
    roles: firstOf(claims, "gatehouse_roles", "roles"),
  });
}

/** Our own claim wins: `roles` may be meant for other services of the same issuer. */
function firstOf(claims: JWTPayload, own: string, common: string): unknown {
  return claims[own] ?? claims[common];
}

function verdictOf(said: {
  readonly project: unknown;
  readonly user: unknown;
  readonly roles: unknown;
}): Verdict {
  const roles = wordsOf(said.roles).filter((role) => knownRoles.has(role));
  const { project, user } = said;
  if (typeof project !== "string" || !isProject(project) || roles.length === 0) return refused;
  if (typeof user !== "string" || !/^[\x20-\x7e]{1,255}$/.test(user)) return refused;
  return { isAuthorized: true, context: { project, user, roles: [...new Set(roles)].join(",") } };
}

function wordsOf(value: unknown): readonly string[] {
  if (typeof value === "string") return value.split(/[\s,]+/);
  if (!Array.isArray(value)) return [];
  return value.filter((word): word is string => typeof word === "string");
}

export const create: Create = (environment) =>
  authorizerFunction({
    settings: settingsFrom(environment),
    fetch: globalThis.fetch,
    now: Date.now,
    cooldownMs: 30_000,
    log: (message) => console.warn(message),
  });

export const handler = entry(create);
