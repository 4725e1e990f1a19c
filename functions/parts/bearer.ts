import {
  createRemoteJWKSet,
  customFetch,
  errors,
  type JWTPayload,
  jwtVerify,
  type RemoteJWKSet,
} from "jose";
import * as z from "zod/mini";
import { isLoopbackOrigin } from "./loopback.ts";

/** Whom to believe, and the effects needed to find its keys. */
export interface Trust {
  readonly issuer: string;
  readonly audience: string;
  readonly fetch: typeof globalThis.fetch;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** An unknown key id asks the issuer again at most this often. */
  readonly cooldownMs: number;
}

/** Asymmetric only: with `none` or HS256 a token could be made from public knowledge. */
const algorithms = ["RS256", "PS256", "ES256", "EdDSA"];
/** Seconds that clocks may differ. */
const clockTolerance = 30;
/** Milliseconds until the issuer is given up; the authorizer has 10 s in all. */
const timeoutMs = 4_000;

const discovery = z.looseObject({ issuer: z.string(), jwks_uri: z.string() });

/** Verifies a token and returns its claims; undefined when it proves nothing. Rejects without issuer. */
export type Verify = (token: string) => Promise<JWTPayload | undefined>;

/** A verifier that finds the issuer's keys on first use and follows their rotation. */
export function bearerVerifier(trust: Trust): Verify {
  if (!isSecure(trust.issuer)) {
    throw new Error("GATEHOUSE_OIDC_ISSUER: expected an https URL (http on loopback only)");
  }
  let found: Promise<RemoteJWKSet> | undefined;
  return async (token) => {
    found ??= keysOf(trust);
    let keys: RemoteJWKSet | undefined;
    try {
      keys = await found;
      return await claimsOf(trust, keys, token);
    } catch (error) {
      // Until there are keys, the issuer is looked for anew; keys that are there are kept.
      if (keys?.jwks() === undefined) found = undefined;
      throw error;
    }
  };
}

async function claimsOf(
  { issuer, audience, now }: Trust,
  keys: RemoteJWKSet,
  token: string,
): Promise<JWTPayload | undefined> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      algorithms,
      clockTolerance,
      requiredClaims: ["exp", "sub"],
      currentDate: new Date(now()),
    });
    return payload;
  } catch (error) {
    if (isTokensFault(error)) return undefined;
    throw error;
  }
}

/** A token that proves nothing is the caller's fault; an issuer that does not answer is not. */
function isTokensFault(error: unknown): boolean {
  return (
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWTExpired ||
    error instanceof errors.JWTClaimValidationFailed ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys
  );
}

async function keysOf({ issuer, fetch, cooldownMs }: Trust): Promise<RemoteJWKSet> {
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const response = await fetch(url, {
    redirect: "error",
    signal: AbortSignal.timeout(timeoutMs),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const document = discovery.parse(await response.json());
  if (document.issuer !== issuer) throw new Error(`${url} is of issuer ${document.issuer}`);
  if (!isSecure(document.jwks_uri)) throw new Error(`${url}: jwks_uri is not an https URL`);
  return createRemoteJWKSet(new URL(document.jwks_uri), {
    cooldownDuration: cooldownMs,
    timeoutDuration: timeoutMs,
    [customFetch]: fetch,
  });
}

function isSecure(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return url.protocol === "https:" || (url.protocol === "http:" && isLoopbackOrigin(url.origin));
}
