import type { Deployable } from "#domain/deployable";
import { settingRoutes } from "#protocol/http/setting-routes";
import { deployablesOf, listDeployables } from "#store/deployables";
import { readHost } from "#store/hosts";
import { allImages } from "#store/images";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { allOf } from "../parts/pages.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";
import { classCounts, traitCounts } from "./views/catalog.ts";

interface CatalogFilter {
  readonly host?: string;
}

/** The fleet's deployables, or one host's. UNKNOWN_HOST. */
async function counted(
  store: Store,
  { query: { host } }: Call<unknown, CatalogFilter>,
): Promise<readonly Deployable[]> {
  if (host !== undefined) return await deployablesOf(store, (await readHost(store, host)).id);
  return await allOf(async (wanted) => await listDeployables(store, () => true, wanted));
}

async function traits(store: Store, call: Call<unknown, CatalogFilter>): Promise<Answer> {
  const [deployables, images] = await Promise.all([
    counted(store, call),
    allImages(store, () => true),
  ]);
  return { body: { items: traitCounts(deployables, images) } };
}

/** The catalogue routes over given parts. */
export function catalogFunction({ store }: { readonly store: Store }) {
  return httpFunction(settingRoutes, {
    listTraits: handle(async (call: Call<unknown, CatalogFilter>) => await traits(store, call)),
    listResourceClasses: handle(async (call: Call<unknown, CatalogFilter>) => ({
      body: { items: classCounts(await counted(store, call)) },
    })),
  });
}

const build: Create = (environment) => catalogFunction({ store: storeFrom(environment) });

export { build as create };
export const handler = entry(build);
