import type { JWTPayload } from "jose";
import type { OpenStack } from "#openstack/cloud";
import { type Bearer, tokenValidator, type ValidateToken } from "#openstack/keystone";
import type { Environment } from "../entry.ts";
import { bearerVerifier, type Verify } from "./bearer.ts";
import { foreignness } from "./loopback.ts";
import { type OpenStackSettings, openstackSettingsFrom } from "./openstack.ts";
import { isProject } from "./project.ts";
import { type Settings, settingsFrom } from "./settings.ts";

/** Who calls. */
export interface Identity {
  readonly project: string;
  readonly user: string;
  /**
   * Of reader, member, manager, admin and service. With Keystone also those that they imply there:
   * admin implies manager, that member, that reader.
   */
  readonly roles: readonly string[];
  readonly isAdmin: boolean;
  /** A service acts for the user, such as Nova. */
  readonly isService: boolean;
}

/** Headers of a request, names in lower case. */
type Headers = Readonly<Record<string, string | undefined>>;

/**
 * Finds out who calls. "unauthenticated": the caller proves nothing (401). "forbidden": what it proves
 * allows nothing here (403). OPENSTACK_UNAVAILABLE, or the issuer's failure, where nobody can tell.
 */
export type Identify = (headers: Headers) => Promise<Identity | "unauthenticated" | "forbidden">;

/** What identities are found out with. */
export interface Identifying {
  readonly settings: Pick<Settings, "auth" | "oidc">;
  /** Needed with `keystone`. */
  readonly openstack?: OpenStack | undefined;
  readonly openstackSettings: Pick<OpenStackSettings, "serviceRoles" | "tokenCacheMs">;
  readonly fetch: typeof globalThis.fetch;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds between two looks for an unknown key of the issuer. */
  readonly cooldownMs: number;
  /** Hears why a caller on loopback was refused. */
  readonly log: (message: string) => void;
}

const knownRoles = new Set(["reader", "member", "manager", "admin", "service"]);

/** What the roles of Keystone's own bootstrap imply, also where an operator made no such rule. */
const implied: Readonly<Record<string, readonly string[]>> = {
  admin: ["manager", "member", "reader"],
  manager: ["member", "reader"],
  member: ["reader"],
};

/**
 * The identifier a function uses as it is deployed. `openstack` is the function's session, if it has
 * one (`openstackFrom`). Throws with the variable's name when one is missing or wrong.
 */
export function identifierFrom(
  environment: Environment,
  openstack: OpenStack | undefined,
): Identify {
  const settings = settingsFrom(environment);
  // A session may be there without Keystone, for the sake of an endpoint.
  const keystone = environment["OS_AUTH_URL"] ? openstack : undefined;
  return identifierFor({
    settings,
    openstack: keystone,
    openstackSettings: openstackSettingsFrom(environment),
    fetch: globalThis.fetch,
    now: Date.now,
    cooldownMs: 30_000,
    log: (message) => console.warn(message),
  });
}

/** Throws with the setting's name when the mode cannot work with what is set. */
export function identifierFor(parts: Identifying): Identify {
  const { auth, oidc } = parts.settings;
  switch (auth) {
    case "none":
      return async (headers) => await Promise.resolve(loopbackCaller(headers, parts.log));
    case "oidc": {
      const verify = bearerVerifier({ ...parts, ...oidc });
      return async (headers) => await bearerCaller(headers, verify);
    }
    case "keystone":
      return keystoneIdentifier(parts);
    default:
      return auth satisfies never;
  }
}

/** Whoever is on this machine is who it says it is. */
function loopbackCaller(headers: Headers, log: Identifying["log"]): Identity | "forbidden" {
  const why = foreignness(headers);
  if (why !== undefined) {
    log(`refused: with GATEHOUSE_AUTH=none only loopback may call, and ${why}`);
    return "forbidden";
  }
  return identityOf({
    project: headers["x-project-id"] ?? "default",
    user: headers["x-user-id"] ?? "default",
    roles: wordsOf(headers["x-roles"] ?? "admin"),
  });
}

async function bearerCaller(headers: Headers, verify: Verify): ReturnType<Identify> {
  const [, token] =
    /^Bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(headers["authorization"] ?? "") ?? [];
  const claims = token === undefined ? undefined : await verify(token);
  if (claims === undefined) return "unauthenticated";
  return identityOf({
    project: firstOf(claims, "gatehouse_project", "project_id"),
    user: claims.sub,
    roles: wordsOf(firstOf(claims, "gatehouse_roles", "roles")),
  });
}

/** Our own claim wins: `roles` may be meant for other services of the same issuer. */
function firstOf(claims: JWTPayload, own: string, common: string): unknown {
  return claims[own] ?? claims[common];
}

function keystoneIdentifier({ openstack, openstackSettings, now }: Identifying): Identify {
  if (openstack === undefined) {
    throw new Error("OS_AUTH_URL: needed with GATEHOUSE_AUTH=keystone, with an account there");
  }
  const { serviceRoles, tokenCacheMs } = openstackSettings;
  const validate = tokenValidator({ openstack, now, cacheMs: tokenCacheMs });
  return async (headers) => await keystoneCaller(headers, validate, serviceRoles);
}

async function keystoneCaller(
  headers: Headers,
  validate: ValidateToken,
  serviceRoles: readonly string[],
): ReturnType<Identify> {
  const { "x-auth-token": token, "x-service-token": serviceToken } = headers;
  if (token === undefined) return "unauthenticated";
  const service = serviceToken === undefined ? undefined : await validate(serviceToken);
  // As keystonemiddleware does it: who brings a second token stands by it.
  if (service === "invalid") return "unauthenticated";
  const isService =
    service !== undefined && rolesOf(service).some((role) => serviceRoles.includes(role));
  // What a user began may take longer than the user's token lives; a service may finish it.
  const bearer = await validate(token, { allowExpired: isService });
  if (bearer === "invalid") return "unauthenticated";
  const roles = rolesOf(bearer);
  const said = { project: bearer.projectId, user: bearer.userId, roles: withImplied(roles) };
  return identityOf(said, isService);
}

/** Keystone keeps one role of a name, in whatever case it is written. */
function rolesOf({ roles }: Bearer): readonly string[] {
  return roles.map((role) => role.toLowerCase());
}

function withImplied(roles: readonly string[]): readonly string[] {
  return roles.flatMap((role) => [role, ...(implied[role] ?? [])]);
}

function identityOf(
  said: { readonly project: unknown; readonly user: unknown; readonly roles: readonly string[] },
  isService?: boolean,
): Identity | "forbidden" {
  const roles = [...new Set(said.roles.filter((role) => knownRoles.has(role)))];
  const { project, user } = said;
  if (typeof project !== "string" || !isProject(project) || roles.length === 0) return "forbidden";
  if (typeof user !== "string" || !/^[\x20-\x7e]{1,255}$/.test(user)) return "forbidden";
  const isAdmin = roles.includes("admin");
  return { project, user, roles, isAdmin, isService: isService ?? roles.includes("service") };
}

function wordsOf(value: unknown): readonly string[] {
  if (typeof value === "string") return value.split(/[\s,]+/);
  if (!Array.isArray(value)) return [];
  return value.filter((word): word is string => typeof word === "string");
}
