import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";
import {
  type Manifest,
  type ManifestStatement,
  parseManifest,
  signManifest,
} from "#protocol/images/manifest";
import { keyIdOf } from "#protocol/images/signing-key";
import type { Context, Flag, Input } from "./command.ts";
import type { LocalImage } from "./digesting.ts";
import { usage } from "./failure.ts";
import { readFile } from "./files.ts";

/** Flags of every command that takes or makes a manifest. */
export const manifestFlags: readonly Flag[] = [
  {
    name: "manifest",
    kind: "text",
    value: "FILE",
    help: "Signed manifest (- reads standard input)",
  },
  { name: "key", kind: "text", value: "FILE", help: "Private Ed25519 key (PEM) to sign with" },
  {
    name: "not-after",
    kind: "text",
    value: "TIME",
    help: "Last good second, as 2030-01-31T00:00:00Z",
  },
];

/** What an uploader says that no header holds. */
export interface Labels {
  readonly vendor: string;
  readonly type: string;
}

/**
 * The manifest that `--manifest` names or that is signed with `--key`; undefined with neither.
 * `facts` are taken only when signing. Throws INVALID_REQUEST and SIGNATURE_INVALID.
 */
export async function manifestFor(
  { io }: Pick<Context, "io">,
  input: Input,
  facts: () => ManifestStatement | Promise<ManifestStatement>,
): Promise<Manifest | undefined> {
  const file = input.text("manifest");
  const keyFile = input.text("key");
  if (file !== undefined && keyFile !== undefined) {
    throw usage("--manifest and --key: expected one of them", "manifest", "one of the two");
  }
  if (file !== undefined) return parseManifest(await readFile(io, file));
  if (keyFile === undefined) {
    if (input.text("not-after") === undefined) return undefined;
    throw usage("--not-after needs --key", "not-after", "--key beside it");
  }
  const key = readPrivateKey(keyFile, await readFile(io, keyFile));
  const notAfter = input.text("not-after");
  const statement = { ...(await facts()), ...(notAfter === undefined ? {} : { notAfter }) };
  return signManifest(statement, keyIdOf(createPublicKey(key)), key);
}

/** What is vouched for about a file: its own bytes and header. */
export function statementOf(
  { digest, header }: LocalImage,
  { vendor, type }: Labels,
): ManifestStatement {
  return {
    sha256: digest.sha256,
    size: digest.size,
    vendor,
    type,
    format: header.format,
    functionId: header.functionId,
    ...(header.interfaceId === undefined ? {} : { interfaceId: header.interfaceId }),
  };
}

/** A new signing key: PKCS#8 and SPKI PEM, and the id that manifests carry. */
export function newSigningKey(): { privatePem: string; publicPem: string; keyId: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    privatePem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    publicPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
    keyId: keyIdOf(publicKey),
  };
}

function readPrivateKey(path: string, pem: string): KeyObject {
  const expected = "an Ed25519 private key in PEM, as gatehouse images keygen makes it";
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch {
    // What the parser says about a broken key helps nobody and could quote it.
  }
  throw usage(`${path} is not a signing key`, "key", expected);
}
