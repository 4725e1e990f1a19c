import { Fault } from "#domain/faults";
import type { Image, SigningKey } from "#domain/image";
import { imageRoutes } from "#protocol/http/image-routes";
import type { CreateKey, KeyView } from "#protocol/http/keys";
import { keyIdOf, parsePublicKey } from "#protocol/images/signing-key";
import { allImages, changeImage } from "#store/images";
import type { Wanted } from "#store/lists";
import { findSigningKey, listSigningKeys, putSigningKey } from "#store/named";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";
import { timeOf } from "./views.ts";

function keyView({ id, name, publicKey, revokedAt, createdAt }: SigningKey): KeyView {
  return {
    id,
    name,
    publicKey,
    ...(revokedAt === undefined ? {} : { revokedAt: timeOf(revokedAt) }),
    createdAt: timeOf(createdAt),
  };
}

/** Trusting a key again changes nothing; a revoked key stays revoked. */
async function create(store: Store, { body }: Call<CreateKey>): Promise<Answer> {
  const id = keyIdOf(parsePublicKey(body.publicKey));
  const known = await findSigningKey(store, id);
  if (known !== undefined) return { status: 200, body: keyView(known) };
  const key = { id, name: body.name, publicKey: body.publicKey, createdAt: store.now() };
  await putSigningKey(store, key);
  return { body: keyView(key) };
}

async function keyOf(store: Store, call: Call): Promise<SigningKey> {
  const id = call.path["key"] ?? "";
  const key = await findSigningKey(store, id);
  if (key === undefined) throw new Fault("UNKNOWN_KEY", `no key ${id}`, { field: "key" });
  return key;
}

/** Revokes a key and takes every image it signed out of use; doing it again finishes what is left. */
async function revoke(store: Store, call: Call): Promise<Answer> {
  const key = await keyOf(store, call);
  const revoked = { ...key, revokedAt: key.revokedAt ?? store.now() };
  await putSigningKey(store, revoked);
  const isSigned = (image: Image) => image.state === "active" && image.manifest?.keyId === key.id;
  const reason = { code: "KEY_REVOKED", message: `key ${key.name} was revoked` };
  for (const { id } of await allImages(store, isSigned)) {
    await changeImage(store, id, (image) =>
      isSigned(image) ? { ...image, state: "rejected", reason, updatedAt: store.now() } : image,
    );
  }
  return { body: keyView(revoked) };
}

/** The key routes over a given store. */
export function keysFunction(store: Store) {
  return httpFunction(imageRoutes, {
    createKey: handle(async (call: Call<CreateKey>) => await create(store, call)),
    listKeys: handle(async (call: Call<unknown, Wanted>) => {
      const { items, next } = await listSigningKeys(store, call.query);
      return { body: { items: items.map(keyView), next } };
    }),
    getKey: handle(async (call: Call) => ({ body: keyView(await keyOf(store, call)) })),
    revokeKey: handle(async (call: Call) => await revoke(store, call)),
  });
}

const build: Create = (environment) => keysFunction(storeFrom(environment));

export { build as create };
export const handler = entry(build);
