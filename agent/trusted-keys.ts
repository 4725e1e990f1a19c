import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "#domain/faults";
import { keyIdOf, parsePublicKey } from "#protocol/images/signing-key";
import type { TrustedKey, TrustPolicy } from "./host/image-trust.ts";
import { isKernelError } from "./host/sysfs-port.ts";

/**
 * The operator's keys: every `*.pem` of the folder may sign images; one named `*.revoked.pem` may
 * not any more. A missing folder is an empty one. Throws INVALID_REQUEST for a file that is no key.
 */
export async function readTrustedKeys(folder: string): Promise<ReadonlyMap<string, TrustedKey>> {
  const keys = new Map<string, TrustedKey>();
  for (const name of await pemFiles(folder)) {
    const path = join(folder, name);
    try {
      const publicKey = parsePublicKey(await readFile(path, "utf8"));
      const id = keyIdOf(publicKey);
      const revoked = name.endsWith(".revoked.pem") || keys.get(id)?.revoked === true;
      keys.set(id, { publicKey, revoked });
    } catch (cause) {
      throw new Fault("INVALID_REQUEST", `${path} is no Ed25519 public key`, {}, { cause });
    }
  }
  return keys;
}

/** The policy that these keys make; `now` judges the end of signatures. */
export function trustPolicy(
  keys: ReadonlyMap<string, TrustedKey>,
  requireSignature: boolean,
  now: () => Date,
): TrustPolicy {
  return {
    signature: requireSignature ? "required" : "optional",
    keyOf: (keyId) => keys.get(keyId),
    now,
  };
}

async function pemFiles(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith(".pem")).sort();
  } catch (error) {
    if (isKernelError(error, "ENOENT")) return [];
    throw new Fault("INVALID_REQUEST", `${folder} cannot be read`, {}, { cause: error });
  }
}
