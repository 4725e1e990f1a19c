import { Fault } from "#domain/faults";
import type { SigningKey } from "#domain/image";
import type { Profile } from "#domain/profile";
import { absent } from "#store/expression";
import { profileKey, secretKey, signingKeyKey } from "#store/keys";
import { type List, listShardsOf, type Wanted } from "#store/lists";
import { rowOf, valueOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Key, Write } from "#store/table";

/** Profiles, signing keys and the service's own secret: small rows found by name. */

/** A new profile. NAME_TAKEN; CONFLICT. */
export async function createProfile(
  store: Store,
  profile: Profile,
  also: readonly Write[],
): Promise<void> {
  const item = rowOf(profileKey(profile.name), "profile", profile, {
    gsi1pk: "PROFILES",
    gsi1sk: profile.id,
  });
  const result = await store.table.write([{ kind: "put", item, if: absent("pk") }, ...also]);
  if (result.ok) return;
  if (result.failures[0]?.reason !== "condition") {
    throw new Fault("CONFLICT", "this profile is being created");
  }
  throw new Fault("NAME_TAKEN", `a profile named ${profile.name} exists`, { field: "name" });
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

export async function deleteProfile(store: Store, name: string): Promise<void> {
  await store.table.write([{ kind: "delete", key: profileKey(name) }]);
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
