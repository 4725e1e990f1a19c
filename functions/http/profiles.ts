import { type Profile, readGroup } from "#domain/profile";
import { settingRoutes } from "#protocol/http/setting-routes";
import type { CreateProfile, ProfileView } from "#protocol/http/settings";
import { uuidOf } from "#protocol/uuid";
import { recall, rememberOnce } from "#store/idempotency";
import type { Wanted } from "#store/lists";
import { createProfile, deleteProfile, listProfiles, readProfile } from "#store/named";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";
import { timeOf } from "./views.ts";

function profileView({ createdAt, groups, ...facts }: Profile): ProfileView {
  return { ...facts, groups: groups.map((group) => ({ ...group })), createdAt: timeOf(createdAt) };
}

async function create(store: Store, { body, once }: Call<CreateProfile>): Promise<Answer> {
  const { name, description = "", groups } = body;
  for (const [index, group] of groups.entries()) readGroup(group, index);
  const known = await recall<{ readonly profile: Profile }>(store, once);
  if (known !== undefined) return { body: profileView(known.profile) };
  const now = store.now();
  const profile = { id: uuidOf("profile", once.id), name, description, groups, createdAt: now };
  await createProfile(store, profile, [rememberOnce(once, { profile }, now)]);
  return { body: profileView(profile) };
}

const nameOf = (call: Call) => call.path["profile"] ?? "";

/** The profile routes over a given store. */
export function profilesFunction(store: Store) {
  return httpFunction(settingRoutes, {
    createProfile: handle(async (call: Call<CreateProfile>) => await create(store, call)),
    listProfiles: handle(async (call: Call<unknown, Wanted>) => {
      const { items, next } = await listProfiles(store, call.query);
      return { body: { items: items.map(profileView), next } };
    }),
    getProfile: handle(async (call: Call) => ({
      body: profileView(await readProfile(store, nameOf(call))),
    })),
    deleteProfile: handle(async (call: Call) => {
      const profile = await readProfile(store, nameOf(call));
      await deleteProfile(store, profile.name);
      return { body: profileView(profile) };
    }),
  });
}

const build: Create = (environment) => profilesFunction(storeFrom(environment));

export { build as create };
export const handler = entry(build);
