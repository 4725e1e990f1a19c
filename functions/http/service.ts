import { routes } from "#protocol/http/routes";
import { settingRoutes } from "#protocol/http/setting-routes";
import { protocolVersion } from "#protocol/wire/shapes";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { type Settings, settingsFrom } from "../parts/settings.ts";
import { storeFrom } from "../parts/store.ts";
import { metricsOf } from "./metrics.ts";
import { openApiOf } from "./openapi.ts";
import { handle, httpFunction } from "./stack.ts";

/** Of the HTTP API; the same as the package's. */
const version = "0.1.0";

/** The service routes over given parts. */
export function serviceFunction(store: Store, settings: Pick<Settings, "signaturePolicy">) {
  return httpFunction(settingRoutes, {
    describeService: handle(async () => ({
      body: {
        name: "gatehouse",
        version,
        protocol: protocolVersion,
        openapi: "/v1/openapi.json",
        signaturePolicy: settings.signaturePolicy,
      },
    })),
    openapi: handle(async () => ({ body: openApiOf(routes, version) })),
    metrics: handle(async () => ({
      headers: { "content-type": "text/plain; version=0.0.4" },
      body: await metricsOf(store),
    })),
  });
}

const build: Create = (environment) =>
  serviceFunction(storeFrom(environment), settingsFrom(environment));

export { build as create };
export const handler = entry(build);
