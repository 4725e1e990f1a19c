import { Fault } from "#domain/faults";
import type { Image, SigningKey } from "#domain/image";
import { imageLifecycle, next } from "#domain/lifecycle";
import { imageRoutes } from "#protocol/http/image-routes";
import type { CreateKey } from "#protocol/http/keys";
import { keyIdOf, parsePublicKey } from "#protocol/images/signing-key";
import { allImages, changeImage } from "#store/images";
import type { Wanted } from "#store/lists";
import { addSigningKey, findSigningKey, listSigningKeys, putSigningKey } from "#store/named";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { onlyOnce } from "../parts/once.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";
import { keyView } from "./views/key.ts";

/** What the key routes work with. */
export interface Keys {
  readonly store: Store;
}

async function keyOf(store: Store, id: string): Promise<SigningKey> {
  const key = await findSigningKey(store, id);
  if (key === undefined) throw new Fault("UNKNOWN_KEY", `no key ${id}`, { field: "key" });
  return key;
}

/** The same key again is no error and keeps its name; a revoked one is never trusted again. */
async function create(store: Store, call: Call<CreateKey>): Promise<Answer> {
  const { name, publicKey: pem } = call.body;
  const id = keyIdOf(parsePublicKey(pem));
  return await onlyOnce<{ readonly key: string }>(store, call.once, {
    make: async (remember) => {
      const key: SigningKey = { id, name, publicKey: pem, createdAt: store.now() };
      const result = await store.table.write([addSigningKey(key), remember({ key: id })]);
      return { body: keyView(result.ok ? key : await trusted(store, id)) };
    },
    replay: async ({ key }) => ({ body: keyView(await keyOf(store, key)) }),
  });
}

async function trusted(store: Store, id: string): Promise<SigningKey> {
  const key = await findSigningKey(store, id);
  if (key === undefined) throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
  if (key.revokedAt !== undefined) {
    throw new Fault("KEY_REVOKED", `key ${id} was revoked`, { field: "publicKey" });
  }
  return key;
}

async function list(store: Store, call: Call<unknown, Wanted>): Promise<Answer> {
  const page = await listSigningKeys(store, call.query);
  return { body: { items: page.items.map(keyView), next: page.next } };
}

/** First the key, so that nothing new is accepted; repeating it catches what was under way. */
async function revoke(store: Store, call: Call): Promise<Answer> {
  const known = await keyOf(store, call.path["key"] ?? "");
  const revoked: SigningKey = { ...known, revokedAt: known.revokedAt ?? store.now() };
  if (known.revokedAt === undefined) await putSigningKey(store, revoked);
  const signed = await allImages(store, (image) => rejection(image, revoked, 0) !== image);
  for (const { id } of signed) {
    await changeImage(store, id, (image) => rejection(image, revoked, store.now()));
  }
  return { body: keyView(revoked) };
}

/** The image without its signer's word; the same object when it never had it or has ended. */
function rejection(image: Image, key: SigningKey, now: number): Image {
  const state = next(imageLifecycle, image.state, "refused");
  if (image.manifest?.keyId !== key.id || state === undefined) return image;
  const message = `signing key ${key.name} (${key.id}) was revoked`;
  return { ...image, state, reason: { code: "KEY_REVOKED", message }, updatedAt: now };
}

/** The key routes over given parts. */
export function keysFunction({ store }: Keys) {
  return httpFunction(imageRoutes, {
    createKey: handle(async (call: Call<CreateKey>) => await create(store, call)),
    listKeys: handle(async (call: Call<unknown, Wanted>) => await list(store, call)),
    getKey: handle(async (call: Call) => ({
      body: keyView(await keyOf(store, call.path["key"] ?? "")),
    })),
    revokeKey: handle(async (call: Call) => await revoke(store, call)),
  });
}

const build: Create = (environment) => keysFunction({ store: storeFrom(environment) });

export { build as create };
export const handler = entry(build);
