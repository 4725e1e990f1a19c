import { type Profile, readGroup } from "#domain/profile";
import { settingRoutes } from "#protocol/http/setting-routes";
import type { CreateProfile, ProfileView } from "#protocol/http/settings";
import { uuidOf } from "#protocol/uuid";
import type { Wanted } from "#store/lists";
import { createProfile, deleteProfile, listProfiles, readProfile } from "#store/named";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { onlyOnce } from "../parts/once.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";
import { profileView } from "./views/profile.ts";

async function create(store: Store, call: Call<CreateProfile>): Promise<Answer> {
  const { name, description, groups } = call.body;
  groups.forEach(readGroup);
  return await onlyOnce<ProfileView>(store, call.once, {
    make: async (remember) => {
      const createdAt = store.now();
      const id = uuidOf("profile", call.once.id, String(createdAt));
      const profile: Profile = { id, name, description: description ?? "", groups, createdAt };
      const view = profileView(profile);
      await createProfile(store, profile, [remember(view)]);
      return { body: view };
    },
    replay: async (view) => ({ body: view }),
  });
}

async function list(store: Store, call: Call<unknown, Wanted>): Promise<Answer> {
  const page = await listProfiles(store, call.query);
  return { body: { items: page.items.map(profileView), next: page.next } };
}

/** Claims keep the name of the profile they were made by; they do not need it any more. */
async function remove(store: Store, call: Call): Promise<Answer> {
  const profile = await readProfile(store, call.path["profile"] ?? "");
  await deleteProfile(store, profile);
  return { body: profileView(profile) };
}

/** The profile routes over given parts. */
export function profilesFunction({ store }: { readonly store: Store }) {
  return httpFunction(settingRoutes, {
    createProfile: handle(async (call: Call<CreateProfile>) => await create(store, call)),
    listProfiles: handle(async (call: Call<unknown, Wanted>) => await list(store, call)),
    getProfile: handle(async (call: Call) => ({
      body: profileView(await readProfile(store, call.path["profile"] ?? "")),
    })),
    deleteProfile: handle(async (call: Call) => await remove(store, call)),
  });
}

const build: Create = (environment) => profilesFunction({ store: storeFrom(environment) });

export { build as create };
export const handler = entry(build);
