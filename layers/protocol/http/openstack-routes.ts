import * as openstack from "./openstack.ts";
import type { Route } from "./route.ts";

/** Routes for operators of OpenStack clouds, by operation id. */
export const openstackRoutes = {
  checkOpenstack: {
    method: "GET",
    path: "/v1/openstack/check",
    summary: "How Keystone, Placement, Glance and Nova stand to this service",
    role: "admin",
    status: 200,
    answer: openstack.openstackCheck,
  },
  importOpenstack: {
    method: "POST",
    path: "/v1/openstack/import",
    summary: "Take over the profiles and bound requests of a running Cyborg",
    role: "admin",
    status: 200,
    body: openstack.importOpenstack,
    answer: openstack.openstackImport,
  },
} as const satisfies Record<string, Route>;
