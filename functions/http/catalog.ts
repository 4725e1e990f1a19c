import { type Deployable, freeHandles, heldHandles, isOfferable } from "#domain/deployable";
import { isActive, isVisible } from "#domain/image";
import { possibleTraits } from "#domain/inventory";
import { settingRoutes } from "#protocol/http/setting-routes";
import { allImages } from "#store/images";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { presentDeployables } from "../parts/fleet.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";

interface Filter {
  readonly host?: string;
}

/** Traits with how many deployables have them, or could have them by an image anyone may load. */
async function traits(store: Store, call: Call<unknown, Filter>): Promise<Answer> {
  const { project, isAdmin } = call.caller;
  const [deployables, images] = await Promise.all([
    presentDeployables(store, call.query.host),
    allImages(store, (image) => isActive(image) && isVisible(image, project, isAdmin)),
  ]);
  const counts = new Map<string, { deployables: number; free: number }>();
  for (const one of deployables) {
    const free = isOfferable(one) ? 1 : 0;
    for (const name of new Set(possibleTraits(one, images))) {
      const count = counts.get(name) ?? { deployables: 0, free: 0 };
      counts.set(name, { deployables: count.deployables + 1, free: count.free + free });
    }
  }
  const items = [...counts].map(([name, count]) => ({ name, ...count }));
  return { body: { items: items.toSorted((a, b) => a.name.localeCompare(b.name)) } };
}

async function resourceClasses(store: Store, call: Call<unknown, Filter>): Promise<Answer> {
  const deployables = await presentDeployables(store, call.query.host);
  const classes = Map.groupBy(deployables, (one) => one.resourceClass);
  const items = [...classes].map(([name, members]) => ({
    name,
    total: sum(members, (one) => Object.keys(one.handles).length),
    free: sum(members, (one) => (isOfferable(one) ? freeHandles(one).length : 0)),
    held: sum(members, (one) => heldHandles(one).length),
  }));
  return { body: { items: items.toSorted((a, b) => a.name.localeCompare(b.name)) } };
}

function sum(members: readonly Deployable[], count: (one: Deployable) => number): number {
  return members.reduce((total, one) => total + count(one), 0);
}

/** The catalogue routes over a given store. */
export function catalogFunction(store: Store) {
  return httpFunction(settingRoutes, {
    listTraits: handle(async (call: Call<unknown, Filter>) => await traits(store, call)),
    listResourceClasses: handle(
      async (call: Call<unknown, Filter>) => await resourceClasses(store, call),
    ),
  });
}

const build: Create = (environment) => catalogFunction(storeFrom(environment));

export { build as create };
export const handler = entry(build);
