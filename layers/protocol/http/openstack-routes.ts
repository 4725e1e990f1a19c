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
} as const satisfies Record<string, Route>;
