import { createHash, type KeyObject } from "node:crypto";
import { jwtVerify, SignJWT } from "jose";
import * as z from "zod/mini";
import { Fault } from "#domain/faults";

/** Seconds a connect token lives (design §6). */
export const tokenSeconds = 60;
const audience = "gatehouse";

const claims = z.looseObject({
  iss: z.string().check(z.maxLength(64)),
  machine: z.string(),
  boot: z.string(),
});

/** Who connects: the host's id, the digest of its machine identity, and its boot id. */
export interface AgentIdentity {
  readonly host: string;
  readonly machine: string;
  readonly bootId: string;
}

/** What binds a key to one machine: a digest over machine-id and DMI product uuid. */
export function machineDigest(machineId: string, productUuid: string): string {
  return createHash("sha256").update(`${machineId}\n${productUuid}`).digest("hex");
}

/** A JWT of 60 s signed by the agent's Ed25519 key; `now` in ms, already offset to server time. */
export async function signAgentToken(
  identity: AgentIdentity,
  key: KeyObject,
  now: number,
): Promise<string> {
  const seconds = Math.floor(now / 1000);
  return await new SignJWT({ machine: identity.machine, boot: identity.bootId })
    .setProtectedHeader({ alg: "EdDSA" })
    .setIssuer(identity.host)
    .setAudience(audience)
    .setIssuedAt(seconds)
    .setExpirationTime(seconds + tokenSeconds)
    .sign(key);
}

/** The host a token says it is from, unverified: only to find the key to verify it with. */
export function claimedHost(token: string): string {
  try {
    const payload: unknown = JSON.parse(
      Buffer.from(token.split(".")[1] ?? "", "base64url").toString(),
    );
    return claims.parse(payload).iss;
  } catch (cause) {
    throw new Fault("UNAUTHENTICATED", "the agent token cannot be read", {}, { cause });
  }
}

/** Verifies signature, audience and age (5 s of clock skew). Throws UNAUTHENTICATED. */
export async function verifyAgentToken(
  token: string,
  publicKey: KeyObject,
  now: number,
): Promise<AgentIdentity> {
  try {
    const { payload } = await jwtVerify(token, publicKey, {
      audience,
      algorithms: ["EdDSA"],
      maxTokenAge: tokenSeconds,
      clockTolerance: 5,
      currentDate: new Date(now),
    });
    const known = claims.parse(payload);
    return { host: known.iss, machine: known.machine, bootId: known.boot };
  } catch (cause) {
    throw new Fault("UNAUTHENTICATED", "the agent token does not verify", {}, { cause });
  }
}
