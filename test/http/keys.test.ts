import { generateKeyPairSync } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import type { Image } from "#domain/image";
import type { KeyView } from "#protocol/http/keys";
import { keyIdOf, parsePublicKey } from "#protocol/images/signing-key";
import { readImage } from "#store/images";
import { keysFunction } from "../../functions/http/keys.ts";
import { ask, type HttpFunction, refused, walk } from "./event.ts";
import { addImageRow, idOf, start, type TestStore, testStore } from "./rows.ts";

let store: TestStore;
let served: HttpFunction;
beforeEach(() => {
  store = testStore();
  served = keysFunction({ store });
});

const admin = { roles: "admin" };

function newPem(): string {
  const { publicKey } = generateKeyPairSync("ed25519");
  return publicKey.export({ type: "spki", format: "pem" }).toString();
}

async function trust(name: string, publicKey = newPem(), key?: string): Promise<KeyView> {
  const request = { ...admin, body: { name, publicKey }, ...(key === undefined ? {} : { key }) };
  return await ask<KeyView>(served, "createKey", request);
}

const revoke = async (key: string) =>
  await ask<KeyView>(served, "revokeKey", { ...admin, path: { key } });

const manifestOf = (keyId: string) => ({ statement: {}, keyId, signature: "s" });

test("a key is named by its own digest and found by that name", async () => {
  const publicKey = newPem();
  const created = await trust("release", publicKey);
  expect(created.id).toBe(keyIdOf(parsePublicKey(publicKey)));
  const found = await ask<KeyView>(served, "getKey", {
    path: { key: created.id },
    roles: "reader",
  });
  expect(found).toEqual(created);
  expect(found.revokedAt).toBeUndefined();
});

test("the same key again is no error and keeps its first name", async () => {
  const publicKey = newPem();
  const first = await trust("release", publicKey);
  store.pass(1000);
  expect(await trust("another", publicKey)).toEqual(first);
});

test("the same request again answers the same key; the same key for another request does not", async () => {
  const publicKey = newPem();
  const first = await trust("release", publicKey, "k");
  expect(await trust("release", publicKey, "k")).toEqual(first);
  const other = { ...admin, key: "k", body: { name: "release", publicKey: newPem() } };
  expect(await refused(served, "createKey", other)).toMatchObject({ code: "IDEMPOTENCY_MISMATCH" });
});

test("two requests at the same time trust one key once", async () => {
  const publicKey = newPem();
  const [one, two] = await Promise.all([trust("a", publicKey), trust("b", publicKey)]);
  expect(two).toEqual(one);
});

test.each([
  [
    "a private key",
    generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }),
  ],
  [
    "an RSA key",
    generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({
      type: "spki",
      format: "pem",
    }),
  ],
  [
    "an X25519 key",
    generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "pem" }),
  ],
  ["something else", "ssh-ed25519 AAAA"],
])("%s is refused", async (_, publicKey) => {
  const problem = await refused(served, "createKey", {
    ...admin,
    body: { name: "release", publicKey: String(publicKey) },
  });
  expect(problem).toMatchObject({ code: "INVALID_REQUEST", field: "publicKey" });
  expect(JSON.stringify(problem)).not.toContain("PRIVATE");
});

test.each([
  [{ publicKey: "x" }, "name"],
  [{ name: "a" }, "publicKey"],
  [{ name: "a", publicKey: "x".repeat(1025) }, "publicKey"],
  [{ name: "a", publicKey: "x", trust: true }, "trust"],
])("the body %j is refused by the name of what is wrong", async (body, field) => {
  const problem = await refused(served, "createKey", { ...admin, body });
  expect(problem).toMatchObject({ code: "INVALID_REQUEST", field });
});

test("all keys, page by page, revoked ones too", async () => {
  const created: string[] = [];
  for (const name of ["a", "b", "c", "d", "e"]) created.push((await trust(name)).id);
  await revoke(created[0] ?? "");
  const found = await walk<KeyView>(served, "listKeys", { limit: 2, roles: "reader" });
  expect(found.map(({ id }) => id)).toEqual(created.toSorted());
  expect(found.filter(({ revokedAt }) => revokedAt !== undefined)).toHaveLength(1);
});

test("a revoked key takes every image it signed with it, and no other", async () => {
  const { id, name } = await trust("release");
  const other = await trust("other");
  const states = ["pending", "verifying", "active", "retired"] as const;
  for (const state of states) await addImageRow(store, state, { state, manifest: manifestOf(id) });
  const reason = { code: "SIGNATURE_EXPIRED", message: "old" };
  await addImageRow(store, "rejected", { state: "rejected", reason, manifest: manifestOf(id) });
  await addImageRow(store, "foreign", { manifest: manifestOf(other.id) });
  await addImageRow(store, "unsigned");
  store.pass(5000);
  const revoked = await revoke(id);
  expect(Date.parse(revoked.revokedAt ?? "")).toBe(start + 5000);
  const image = async (one: string): Promise<Image | undefined> =>
    await readImage(store, idOf(one));
  for (const one of ["pending", "verifying", "active"]) {
    expect(await image(one)).toMatchObject({
      state: "rejected",
      reason: { code: "KEY_REVOKED", message: expect.stringContaining(name) as string },
      updatedAt: start + 5000,
    });
  }
  expect((await image("retired"))?.state).toBe("retired");
  expect((await image("rejected"))?.reason).toEqual(reason);
  expect((await image("foreign"))?.state).toBe("active");
  expect((await image("unsigned"))?.state).toBe("active");
});

test("revoking again keeps the first moment and catches an image that was under way", async () => {
  const { id } = await trust("release");
  const first = await revoke(id);
  await addImageRow(store, "late", { manifest: manifestOf(id) });
  store.pass(5000);
  expect(await revoke(id)).toEqual(first);
  expect((await readImage(store, idOf("late")))?.state).toBe("rejected");
});

test("a revoked key is never trusted again", async () => {
  const publicKey = newPem();
  const { id } = await trust("release", publicKey);
  await revoke(id);
  const problem = await refused(served, "createKey", {
    ...admin,
    body: { name: "release", publicKey },
  });
  expect(problem).toMatchObject({ code: "KEY_REVOKED", status: 422 });
});

test.each(["getKey", "revokeKey"] as const)(
  "%s of an unknown key is refused",
  async (operation) => {
    const problem = await refused(served, operation, { ...admin, path: { key: "ed25519:00" } });
    expect(problem).toMatchObject({ code: "UNKNOWN_KEY", status: 404, field: "key" });
  },
);

test("only admins trust and revoke", async () => {
  const { id } = await trust("release");
  for (const operation of ["createKey", "revokeKey"] as const) {
    const problem = await refused(served, operation, { roles: "member", path: { key: id } });
    expect(problem).toMatchObject({ code: "FORBIDDEN" });
  }
});
