import { openapiOf } from "#protocol/http/openapi";
import { routes } from "#protocol/http/routes";
import { settingRoutes } from "#protocol/http/setting-routes";
import { protocolVersion } from "#protocol/wire/shapes";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { metricsText, metricsType } from "../parts/metrics.ts";
import { type Settings, settingsFrom } from "../parts/settings.ts";
import { storeFrom } from "../parts/store.ts";
import { serviceVersion } from "../version.ts";
import { handle, httpFunction } from "./stack.ts";

/** What the service's own routes work with. */
export interface Service {
  readonly store: Store;
  readonly settings: Pick<Settings, "signaturePolicy">;
}

/** The service routes over given parts. */
export function serviceFunction({ store, settings }: Service) {
  let document: string | undefined;
  return httpFunction(settingRoutes, {
    describeService: handle(async () => ({
      body: {
        name: "gatehouse",
        version: serviceVersion,
        protocol: protocolVersion,
        openapi: "/v1/openapi.json",
        signaturePolicy: settings.signaturePolicy,
      },
    })),
    openapi: handle(async () => {
      document ??= JSON.stringify(openapiOf(routes, serviceVersion));
      return { body: document };
    }),
    metrics: handle(async () => ({
      headers: { "content-type": metricsType },
      body: await metricsText(store),
    })),
  });
}

const build: Create = (environment) =>
  serviceFunction({ store: storeFrom(environment), settings: settingsFrom(environment) });

export { build as create };
export const handler = entry(build);
