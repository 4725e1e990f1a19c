import { createRemoteJWKSet, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import * as z from "zod/mini";
import type { CallerContext } from "../http/call.ts";

/** Which tokens are believed. */
export interface OidcSettings {
  readonly issuer: string;
  readonly audience: string;
}

/** Signatures only a holder of a private key can make: no `none`, no shared secrets. */
const algorithms = ["RS256", "PS256", "ES256", "EdDSA"];
const clockToleranceSeconds = 30;
const discoveryMs = 5_000;

const discovery = z.object({ issuer: z.string(), jwks_uri: z.url() });
const rolesClaim = z.union([z.array(z.string()), z.string()]);
const known = new Set(["reader", "member", "admin"]);

/**
 * Verifies `Authorization: Bearer` tokens of one issuer. The issuer's keys are read through its
 * discovery document and again when a token names an unknown key (jose: at most every 30 s).
 * Throws Error("Unauthorized") for a token that does not verify, which the gateway answers with 401;
 * undefined for a good token without project or roles.
 */
export function oidcVerifier(
  settings: OidcSettings,
  now: () => number = Date.now,
): (
  headers: Readonly<Record<string, string | undefined>>,
) => Promise<Required<CallerContext> | undefined> {
  if (settings.issuer === "") throw new Error("GATEHOUSE_OIDC_ISSUER: expected the issuer's URL");
  let keys: Promise<JWTVerifyGetKey> | undefined;
  return async (headers) => {
    const token = /^Bearer (.+)$/i.exec(headers["authorization"] ?? "")?.[1];
    if (token === undefined) throw new Error("Unauthorized");
    // A discovery that failed is tried again with the next request.
    keys ??= discoveredKeys(settings.issuer).catch((error: unknown) => {
      keys = undefined;
      throw error;
    });
    return callerOf(await verified(token, await keys, settings, now));
  };
}

async function discoveredKeys(issuer: string): Promise<JWTVerifyGetKey> {
  const base = issuer.replace(/\/+$/, "");
  const response = await fetch(`${base}/.well-known/openid-configuration`, {
    redirect: "error",
    signal: AbortSignal.timeout(discoveryMs),
  });
  const document = discovery.parse(await response.json());
  if (document.issuer.replace(/\/+$/, "") !== base) {
    throw new Error(`the discovery document of ${issuer} is about ${document.issuer}`);
  }
  return createRemoteJWKSet(new URL(document.jwks_uri));
}

async function verified(
  token: string,
  keys: JWTVerifyGetKey,
  { issuer, audience }: OidcSettings,
  now: () => number,
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      algorithms,
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(now()),
      requiredClaims: ["exp", "sub"],
    });
    return payload;
  } catch (cause) {
    throw new Error("Unauthorized", { cause });
  }
}

/** `project_id` or `gatehouse_project`, `roles` or `gatehouse_roles`; other roles mean nothing here. */
function callerOf(payload: JWTPayload): Required<CallerContext> | undefined {
  const project = payload["project_id"] ?? payload["gatehouse_project"];
  const claimed = rolesClaim.safeParse(payload["roles"] ?? payload["gatehouse_roles"]);
  if (typeof project !== "string" || !/^[A-Za-z0-9][\w.-]{0,63}$/.test(project)) return undefined;
  if (!claimed.success) return undefined;
  const named = typeof claimed.data === "string" ? claimed.data.split(/\s+/) : claimed.data;
  const roles = named.filter((role) => known.has(role));
  if (roles.length === 0) return undefined;
  return { project, user: payload.sub ?? "", roles: roles.join(",") };
}
