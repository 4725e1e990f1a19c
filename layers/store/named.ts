import { Fault } from "#domain/faults";
import type { SigningKey } from "#domain/image";
import type { Profile } from "#domain/profile";
import { absent } from "#store/expression";
import { profileIdKey, profileKey, secretKey, signingKeyKey } from "#store/keys";
import { type List, listShardsOf, type Wanted } from "#store/lists";
import { rowOf, valueOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Key, Write } from "#store/table";

/** Profiles, signing keys and the service's own secret: small rows found by name. */

/** A new profile. NAME_TAKEN (`detail.field` says whether it is the name or the id); CONFLICT. */
export async function createProfile(
  store: Store,
  profile: Profile,
  also: readonly Write[] = [],
): Promise<void> {
  const { id, name } = profile;
  const item = rowOf(profileKey(name), "profile", profile, { gsi1pk: "PROFILES", gsi1sk: id });
  const pointer = rowOf(profileIdKey(id), "pointer", { name });
  const result = await store.table.write([
    { kind: "put", item, if: absent("pk") },
    { kind: "put", item: pointer, if: absent("pk") },
    ...also,
  ]);
  if (result.ok) return;
  const [named, identified] = result.failures;
  if (named?.reason === "condition") {
    throw new Fault("NAME_TAKEN", `a profile named ${name} exists`, { field: "name" });
  }
  if (identified?.reason === "condition") {
    throw new Fault("NAME_TAKEN", `a profile with id ${id} exists`, { field: "id" });
  }
  throw new Fault("CONFLICT", "this profile is being created");
}

/** One profile by name. UNKNOWN_PROFILE. */
export async function readProfile(store: Store, name: string): Promise<Profile> {
  const profile = valueOrUndefined<Profile>(
    await store.table.get(profileKey(name), { consistent: true }),
  );
  if (profile === undefined) {
    throw new Fault("UNKNOWN_PROFILE", `no profile ${name}`, { field: "profile" });
  }
  return profile;
}

/** One profile by its id, known as soon as it is made. UNKNOWN_PROFILE. */
export async function readProfileById(store: Store, id: string): Promise<Profile> {
  const pointer = await store.table.get(profileIdKey(id), { consistent: true });
  if (pointer === undefined) {
    throw new Fault("UNKNOWN_PROFILE", `no profile ${id}`, { field: "profile" });
  }
  return await readProfile(store, valueOf<{ readonly name: string }>(pointer).name);
}

/** Deletes a profile; one that is gone stays gone. */
export async function deleteProfile(
  store: Store,
  { id, name }: Pick<Profile, "id" | "name">,
): Promise<void> {
  await store.table.write([
    { kind: "delete", key: profileKey(name) },
    { kind: "delete", key: profileIdKey(id) },
  ]);
}

export async function listProfiles(store: Store, wanted: Wanted): Promise<List<Profile>> {
  const entry = (item: Item) => valueOf<Profile>(item);
  return await listShardsOf(store, { index: "gsi1", prefix: "PROFILES", entry }, wanted);
}

function keyRow(key: SigningKey): Item & Key {
  return rowOf(signingKeyKey(key.id), "key", key, { gsi1pk: "KEYS", gsi1sk: key.id });
}

/** Trusts a key for the first time; the transaction fails when it is known, revoked or not. */
export function addSigningKey(key: SigningKey): Write {
  return { kind: "put", item: keyRow(key), if: absent("pk") };
}

/** Changes what is known of a key. */
export async function putSigningKey(store: Store, key: SigningKey): Promise<void> {
  await store.table.write([{ kind: "put", item: keyRow(key) }]);
}

export async function findSigningKey(store: Store, id: string): Promise<SigningKey | undefined> {
  return valueOrUndefined<SigningKey>(
    await store.table.get(signingKeyKey(id), { consistent: true }),
  );
}

export async function listSigningKeys(store: Store, wanted: Wanted): Promise<List<SigningKey>> {
  const entry = (item: Item) => valueOf<SigningKey>(item);
  return await listShardsOf(store, { index: "gsi1", prefix: "KEYS", entry }, wanted);
}

/** A secret of the service, made by `make` the first time anyone asks; one winner for all callers. */
export async function secret(store: Store, name: string, make: () => string): Promise<string> {
  const known = await store.table.get(secretKey(name), { consistent: true });
  if (known !== undefined) return valueOf<{ readonly secret: string }>(known).secret;
  const fresh = make();
  const item = rowOf(secretKey(name), "secret", { secret: fresh });
  const result = await store.table.write([{ kind: "put", item, if: absent("pk") }]);
  if (result.ok) return fresh;
  return await secret(store, name, make);
}
