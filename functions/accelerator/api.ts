import { randomUUID } from "node:crypto";
import { type Create, entry, type Handler } from "../entry.ts";
import type { HttpResult } from "../http/problem.ts";
import { bindingFrom } from "../parts/binding-from.ts";
import { identifierFor } from "../parts/identity.ts";
import { openstackFrom, openstackSettingsFrom } from "../parts/openstack.ts";
import { settingsFrom } from "../parts/settings.ts";
import { arqEndpoints } from "./arq-endpoints.ts";
import { attributeEndpoints } from "./attributes.ts";
import { deployableEndpoints } from "./deployables.ts";
import { deviceProfileEndpoints } from "./device-profiles.ts";
import { deviceEndpoints } from "./devices.ts";
import type { Accelerator } from "./parts.ts";
import { routedFunction } from "./router.ts";
import { acceleratorSettings } from "./settings.ts";

/** OpenStack's accelerator API v2, as Cyborg has it, over given parts. */
export function acceleratorFunction(parts: Accelerator): Handler<unknown, HttpResult> {
  return routedFunction(parts, [
    ...deviceProfileEndpoints(parts),
    ...arqEndpoints(parts),
    ...deviceEndpoints(parts),
    ...deployableEndpoints(parts),
    ...attributeEndpoints(parts),
  ]);
}

function logError(error: unknown): void {
  const stack = error instanceof Error ? error.stack : undefined;
  console.error(JSON.stringify({ level: "error", message: String(error), stack }));
}

const build: Create = (environment) => {
  const settings = settingsFrom(environment);
  const openstackSettings = openstackSettingsFrom(environment);
  return acceleratorFunction({
    binding: bindingFrom(environment),
    identify: identifierFor({
      settings,
      openstack: openstackFrom(environment),
      openstackSettings,
      fetch: globalThis.fetch,
      now: Date.now,
      cooldownMs: 30_000,
      log: (message) => console.warn(message),
    }),
    settings: acceleratorSettings(environment, settings, openstackSettings),
    newId: randomUUID,
    waiting: new Set(),
    log: logError,
  });
};

export { build as create };
export const handler = entry(build);
