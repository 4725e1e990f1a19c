import { openstackRoutes } from "#protocol/http/openstack-routes";
import { type Create, entry } from "../entry.ts";
import { type Checking, checkAll } from "../openstack/checks/all.ts";
import { openstackFrom, openstackSettingsFrom } from "../parts/openstack.ts";
import { storeFrom } from "../parts/store.ts";
import { handle, httpFunction } from "./stack.ts";

/** The routes for operators of OpenStack clouds, over given parts. */
export function openstackFunction(checking: Checking) {
  return httpFunction(openstackRoutes, {
    checkOpenstack: handle(async () => ({ body: await checkAll(checking) })),
  });
}

const build: Create = (environment) =>
  openstackFunction({
    store: storeFrom(environment),
    openstack: openstackFrom(environment),
    glance: openstackSettingsFrom(environment).glance,
  });

export { build as create };
export const handler = entry(build);
