import { isFault } from "#domain/faults";
import type { Profile } from "#domain/profile";
import { isProfileUsed } from "#store/arqs";
import {
  createProfile,
  deleteProfile,
  listProfiles,
  readProfile,
  readProfileById,
} from "#store/named";
import type { Store } from "#store/store";
import type { Call, Endpoint } from "./endpoint.ts";
import { notFound, type Reply, refusal } from "./errors.ts";
import { type Link, selfLink, timeOf } from "./links.ts";
import type { Accelerator } from "./parts.ts";
import { wantedProfile } from "./profile-body.ts";
import { listArgument } from "./query.ts";
import { asUuid } from "./uuids.ts";

/** Device profiles (cyborg.md §1.2): the same profiles as those of the native API. */

/** First minor version in which a profile can be had by its name. */
const byNameMinor = 2;

interface ProfileView {
  readonly uuid: string;
  readonly name: string;
  readonly description: string;
  readonly groups: Profile["groups"];
  readonly created_at: string;
  readonly updated_at: null;
  readonly links: readonly Link[];
}

function profileView({ id, name, description, groups, createdAt }: Profile, base: string) {
  const links = [selfLink(base, "device_profiles", id)];
  const created_at = timeOf(createdAt);
  const view: ProfileView = {
    uuid: id,
    name,
    description,
    groups,
    created_at,
    updated_at: null,
    links,
  };
  return view;
}

async function create({ binding, newId }: Accelerator, call: Call): Promise<Reply> {
  const { store } = binding;
  const { id = newId(), ...wanted } = wantedProfile(call.json());
  const profile: Profile = { id, ...wanted, createdAt: store.now() };
  try {
    await createProfile(store, profile);
  } catch (error) {
    if (!isFault(error, "NAME_TAKEN")) throw error;
    const [status, what] =
      error.detail.field === "id"
        ? ([500, `uuid ${id}`] as const)
        : ([409, `name ${profile.name}`] as const);
    throw refusal(status, `A device_profile with ${what} already exists.`);
  }
  return { status: 201, body: profileView(profile, call.base) };
}

async function list({ binding: { store } }: Accelerator, call: Call): Promise<Reply> {
  const names = call.query.get("name");
  const profiles =
    names === null ? await allProfiles(store) : await named(store, listArgument(names));
  return {
    status: 200,
    body: { device_profiles: profiles.map((one) => profileView(one, call.base)) },
  };
}

async function allProfiles(store: Store): Promise<readonly Profile[]> {
  const found: Profile[] = [];
  let after: string | undefined;
  do {
    const page = await listProfiles(store, { limit: 200, after });
    found.push(...page.items);
    after = page.next;
  } while (after !== undefined);
  return found;
}

/** Those of the names that there are. */
async function named(store: Store, names: readonly string[]): Promise<readonly Profile[]> {
  const found = await Promise.all(
    [...new Set(names)].map(async (name) => await orUndefined(readProfile(store, name))),
  );
  return found.flatMap((profile) => profile ?? []);
}

async function orUndefined(reading: Promise<Profile>): Promise<Profile | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isFault(error, "UNKNOWN_PROFILE")) return undefined;
    throw error;
  }
}

/** The profile of a uuid or, where the version allows it, of a name; 404, 406. */
async function profileOf(store: Store, text: string, minor: number): Promise<Profile> {
  const id = asUuid(text);
  if (id !== undefined) {
    const profile = await orUndefined(readProfileById(store, id));
    if (profile === undefined) throw notFound("Device Profile", text);
    return profile;
  }
  if (minor < byNameMinor) {
    const needed = `2.${byNameMinor}`;
    throw refusal(
      406,
      `Request not acceptable. The minimal required API version should be ${needed}`,
    );
  }
  return await profileNamed(store, text);
}

async function profileNamed(store: Store, name: string): Promise<Profile> {
  const profile = await orUndefined(readProfile(store, name));
  if (profile === undefined) throw notFound("Device Profile", name, "name");
  return profile;
}

async function get({ binding: { store } }: Accelerator, call: Call): Promise<Reply> {
  const profile = await profileOf(store, call.path["profile"] ?? "", call.minor);
  const { uuid, name, description, ...rest } = profileView(profile, call.base);
  return { status: 200, body: { device_profile: { name, description, uuid, ...rest } } };
}

/** 409 while accelerator requests were made by it. */
async function removeOne(store: Store, text: string): Promise<void> {
  const id = asUuid(text);
  const profile = await (id === undefined
    ? profileNamed(store, text)
    : profileOf(store, text, byNameMinor));
  if (await isProfileUsed(store, profile.name)) {
    throw refusal(409, `Device profile ${profile.name} is in use by accelerator requests.`);
  }
  await deleteProfile(store, profile);
}

async function remove({ binding: { store } }: Accelerator, call: Call): Promise<Reply> {
  await removeOne(store, call.path["profile"] ?? "");
  return { status: 204 };
}

/** In the order given, up to the first that is not there: those before it stay deleted. */
async function removeSeveral({ binding: { store } }: Accelerator, call: Call): Promise<Reply> {
  const values = listArgument(call.query.get("value") ?? "");
  if (values.length === 0) throw refusal(400, 'Missing argument: "value"');
  for (const value of values) await removeOne(store, value);
  return { status: 204 };
}

/** The paths of device profiles. */
export function deviceProfileEndpoints(parts: Accelerator): readonly Endpoint[] {
  return [
    {
      path: "device_profiles",
      methods: {
        GET: {
          rule: "cyborg:device_profile:get_all",
          takes: ["name"],
          run: async (call) => await list(parts, call),
        },
        POST: {
          rule: "cyborg:device_profile:create",
          run: async (call) => await create(parts, call),
        },
        DELETE: {
          rule: "cyborg:device_profile:delete",
          takes: ["value"],
          run: async (call) => await removeSeveral(parts, call),
        },
      },
    },
    {
      path: "device_profiles/{profile}",
      methods: {
        GET: { rule: "cyborg:device_profile:get_one", run: async (call) => await get(parts, call) },
        DELETE: {
          rule: "cyborg:device_profile:delete",
          run: async (call) => await remove(parts, call),
        },
      },
    },
  ];
}
