import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "#domain/faults";
import { type Identity, identitySchema } from "./config.ts";
import { privateFolder, replaceFile } from "./host/files.ts";
import { isKernelError } from "./host/sysfs-port.ts";

const identityFile = "agent.json";
const keyFile = "agent.key";

/** Who this agent is, undefined before it joined. INVALID_REQUEST when the file is damaged. */
export async function readIdentity(stateDir: string): Promise<Identity | undefined> {
  const text = await readIfThere(join(stateDir, identityFile));
  if (text === undefined) return undefined;
  try {
    return identitySchema.parse(JSON.parse(text));
  } catch (cause) {
    const message = `${join(stateDir, identityFile)} is damaged: join again`;
    throw new Fault("INVALID_REQUEST", message, {}, { cause });
  }
}

/** Keeps who this agent is. */
export async function writeIdentity(stateDir: string, identity: Identity): Promise<void> {
  await replaceFile(join(stateDir, identityFile), `${JSON.stringify(identity, undefined, 2)}\n`);
}

/** The agent's private key; made with mode 0600 when there is none and `make` is set. */
export async function agentKey(stateDir: string, make: boolean): Promise<KeyObject> {
  const path = join(stateDir, keyFile);
  const text = await readIfThere(path);
  if (text !== undefined) return createPrivateKey(text);
  if (!make) throw new Fault("UNAUTHENTICATED", `there is no key in ${path}: join first`);
  const { privateKey } = generateKeyPairSync("ed25519");
  await privateFolder(stateDir);
  await replaceFile(path, privateKey.export({ type: "pkcs8", format: "pem" }).toString());
  return privateKey;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isKernelError(error, "ENOENT")) return undefined;
    throw new Fault("FORBIDDEN", `${path} cannot be read`, {}, { cause: error });
  }
}
