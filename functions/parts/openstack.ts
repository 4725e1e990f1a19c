import * as z from "zod/mini";
import type { OpenStack } from "#openstack/cloud";
import { openSession } from "#openstack/session";
import type { Environment } from "../entry.ts";
import { choice, parsed, text } from "./environment.ts";
import { cyborgEndpoint, placeFrom } from "./openstack-place.ts";

/** How we live with an OpenStack cloud; names and meanings are in docs/configuration.md. */
export interface OpenStackSettings {
  /** What our providers in Placement look like. */
  readonly shape: "pool" | "tree" | "cyborg";
  /** `required`: binding, unbinding and deleting what is bound needs a service's token too. */
  readonly serviceTokens: "required" | "optional";
  /** `read` takes images from Glance, `write` also registers ours there. */
  readonly glance: "off" | "read" | "write";
  /** One of these roles makes a token a service's. */
  readonly serviceRoles: readonly string[];
  /** How long a revoked token may go on working. */
  readonly tokenCacheMs: number;
}

/** What a session needs from outside. */
export interface OpenStackEffects {
  readonly fetch: typeof globalThis.fetch;
  readonly now: () => number;
}

const ownEffects: OpenStackEffects = { fetch: globalThis.fetch, now: Date.now };

const whole = "expected a whole number from 0 to 3600";
const seconds = z.pipe(
  z.pipe(
    text,
    z.transform((value) => Number(value ?? "60")),
  ),
  z.int(whole).check(z.minimum(0, whole), z.maximum(3600, whole)),
);

const settingsSchema = z.object({
  GATEHOUSE_PLACEMENT_SHAPE: choice(["pool", "tree", "cyborg"], "pool"),
  GATEHOUSE_SERVICE_TOKENS: choice(["required", "optional"], "required"),
  GATEHOUSE_GLANCE: choice(["off", "read", "write"], "off"),
  GATEHOUSE_SERVICE_ROLES: text,
  GATEHOUSE_TOKEN_CACHE_SECONDS: seconds,
});

/** Reads the settings; throws with the variable's name when one is wrong. */
export function openstackSettingsFrom(environment: Environment): OpenStackSettings {
  const known = parsed(settingsSchema, environment);
  const roles = (known.GATEHOUSE_SERVICE_ROLES ?? "service").split(",");
  return {
    shape: known.GATEHOUSE_PLACEMENT_SHAPE,
    serviceTokens: known.GATEHOUSE_SERVICE_TOKENS,
    glance: known.GATEHOUSE_GLANCE,
    serviceRoles: roles.map((role) => role.trim().toLowerCase()).filter((role) => role !== ""),
    tokenCacheMs: known.GATEHOUSE_TOKEN_CACHE_SECONDS * 1000,
  };
}

/**
 * The cloud the settings name, as one session: a function opens it once and keeps it. Undefined when
 * neither OS_AUTH_URL nor an endpoint is set: then nothing of OpenStack is done. Throws with the
 * variable's name when one is missing or wrong, never with its value.
 */
export function openstackFrom(
  environment: Environment,
  effects: OpenStackEffects = ownEffects,
): OpenStack | undefined {
  const place = placeFrom(environment);
  const isOff = place.keystone === undefined && Object.keys(place.endpoints).length === 0;
  return isOff ? undefined : openSession({ ...effects, ...place });
}

/**
 * The same cloud as long as Cyborg is its accelerator service: at CYBORG_ENDPOINT once the catalog
 * names us.
 */
export function cyborgFrom(
  environment: Environment,
  effects: OpenStackEffects = ownEffects,
): OpenStack | undefined {
  const place = placeFrom(environment);
  const cyborg = cyborgEndpoint(environment);
  const endpoints =
    cyborg === undefined ? place.endpoints : { ...place.endpoints, accelerator: cyborg };
  const isOff = place.keystone === undefined && Object.keys(endpoints).length === 0;
  return isOff ? undefined : openSession({ ...effects, ...place, endpoints });
}
