import type { KeyObject } from "node:crypto";
import { jwtVerify, SignJWT } from "jose";
import * as z from "zod/mini";
import { Fault } from "#domain/faults";
import { counter, handleName, label, sha256, uuid } from "./wire/shapes.ts";

const permitClaims = z.looseObject({
  claim: uuid,
  host: uuid,
  deployable: uuid,
  handle: handleName,
  fence: counter,
  project: label,
  sha256: z.optional(sha256),
  exp: counter,
});

/**
 * Leave to plug one handle while the cloud is away (design §7): names claim, handle, fence and the
 * digest of the image that must be loaded, and ends at `exp` (seconds since the epoch).
 */
export type Permit = z.infer<typeof permitClaims>;

const audience = "gatehouse-permit";

/** Signs a permit with the cloud's Ed25519 permit key. */
export async function signPermit(permit: Permit, key: KeyObject): Promise<string> {
  return await new SignJWT({ ...permit })
    .setProtectedHeader({ alg: "EdDSA" })
    .setAudience(audience)
    .sign(key);
}

/** Reads a permit at `now` ms, which is max(host clock, last server time + elapsed). PERMIT_INVALID. */
export async function verifyPermit(
  text: string,
  publicKey: KeyObject,
  now: number,
): Promise<Permit> {
  try {
    const { payload } = await jwtVerify(text, publicKey, {
      audience,
      algorithms: ["EdDSA"],
      currentDate: new Date(now),
    });
    return permitClaims.parse(payload);
  } catch (cause) {
    throw new Fault("PERMIT_INVALID", "the permit does not verify", {}, { cause });
  }
}
