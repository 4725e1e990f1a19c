import type { Profile } from "#domain/profile";
import type { ProfileView } from "#protocol/http/settings";
import { timeOf } from "../views.ts";

/** A profile with its groups as they were given. */
export function profileView({ groups, createdAt, ...profile }: Profile): ProfileView {
  return {
    ...profile,
    groups: groups.map((group) => ({ ...group })),
    createdAt: timeOf(createdAt),
  };
}
