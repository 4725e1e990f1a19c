import type { ImportOpenstack } from "#protocol/http/openstack";
import { openstackRoutes } from "#protocol/http/openstack-routes";
import { type Create, entry } from "../entry.ts";
import { type Checking, checkAll } from "../openstack/checks/all.ts";
import { type Importing, importSite } from "../openstack/import/run.ts";
import { cyborgFrom, openstackFrom, openstackSettingsFrom } from "../parts/openstack.ts";
import { settingsFrom } from "../parts/settings.ts";
import { storeFrom } from "../parts/store.ts";
import type { Call } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";

/** What the routes work with. */
export type Operating = Checking & Importing;

/** The routes for operators of OpenStack clouds, over given parts. */
export function openstackFunction(operating: Operating) {
  return httpFunction(openstackRoutes, {
    checkOpenstack: handle(async () => ({ body: await checkAll(operating) })),
    // What was taken is there the next time, so repeating it needs no memory.
    importOpenstack: handle(async ({ body }: Call<ImportOpenstack>) => ({
      body: await importSite(operating, { dryRun: body.dryRun ?? false }),
    })),
  });
}

const build: Create = (environment) =>
  openstackFunction({
    store: storeFrom(environment),
    openstack: openstackFrom(environment),
    cyborg: cyborgFrom(environment),
    defaultQuota: settingsFrom(environment).defaultQuota,
    ...openstackSettingsFrom(environment),
  });

export { build as create };
export const handler = entry(build);
