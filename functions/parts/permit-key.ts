import { generateKeyPairSync } from "node:crypto";
import { secret } from "#store/named";
import type { Store } from "#store/store";

/** The service's permit key pair as PKCS 8 PEM: made once, kept in the table. */
export async function permitKey(store: Store): Promise<string> {
  return await secret(store, "permit", () =>
    generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  );
}
