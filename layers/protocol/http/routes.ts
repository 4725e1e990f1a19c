import { claimRoutes } from "./claim-routes.ts";
import { deployableRoutes } from "./deployable-routes.ts";
import { hostRoutes } from "./host-routes.ts";
import { imageRoutes } from "./image-routes.ts";
import { openstackRoutes } from "./openstack-routes.ts";
import { settingRoutes } from "./setting-routes.ts";

/** Every native route by operation id. The first word after `/v1/` names the function's file. */
export const routes = {
  ...settingRoutes,
  ...imageRoutes,
  ...hostRoutes,
  ...deployableRoutes,
  ...claimRoutes,
  ...openstackRoutes,
};

export type OperationId = keyof typeof routes;
