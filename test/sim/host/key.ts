import { createPrivateKey, type KeyObject } from "node:crypto";

/** An Ed25519 key that follows from a name: RFC 8410's wrapping of 32 bytes. */
export function keyOf(name: string): KeyObject {
  const bytes = Buffer.alloc(32, name);
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), bytes]);
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}
