import * as z from "zod/mini";
import type { Account, Domain, Named } from "#openstack/account";
import type { Service } from "#openstack/cloud";
import type { SessionOptions } from "#openstack/session";
import type { Environment } from "../entry.ts";
import { choice, parsed, text } from "./environment.ts";

const accountSchema = z.object({
  OS_AUTH_URL: text,
  OS_USERNAME: text,
  OS_PASSWORD: text,
  OS_PROJECT_NAME: text,
  OS_PROJECT_ID: text,
  OS_USER_DOMAIN_NAME: text,
  OS_USER_DOMAIN_ID: text,
  OS_PROJECT_DOMAIN_NAME: text,
  OS_PROJECT_DOMAIN_ID: text,
  OS_APPLICATION_CREDENTIAL_ID: text,
  OS_APPLICATION_CREDENTIAL_NAME: text,
  OS_APPLICATION_CREDENTIAL_SECRET: text,
  OS_REGION_NAME: text,
  OS_INTERFACE: choice(["public", "internal", "admin"], "public"),
  PLACEMENT_ENDPOINT: text,
  GLANCE_ENDPOINT: text,
  NOVA_ENDPOINT: text,
});
type Known = z.infer<typeof accountSchema>;

/** Where the cloud is and who we are there. */
export type Place = Pick<SessionOptions, "keystone" | "endpoints" | "interface" | "region">;

/**
 * Reads OS_* and the endpoints. Throws with the variable's name when one is missing or wrong, never
 * with its value.
 */
export function placeFrom(environment: Environment): Place {
  const known = parsed(accountSchema, environment);
  return {
    keystone: keystoneOf(known),
    endpoints: endpointsOf(known),
    interface: known.OS_INTERFACE,
    region: known.OS_REGION_NAME,
  };
}

/** Where a Cyborg is that is to be taken over. Throws with the variable's name when it is no URL. */
export function cyborgEndpoint(environment: Environment): string | undefined {
  const { CYBORG_ENDPOINT: value } = parsed(z.object({ CYBORG_ENDPOINT: text }), environment);
  return value === undefined ? undefined : checkedUrl("CYBORG_ENDPOINT", value);
}

function endpointsOf(known: Known): Partial<Record<Service, string>> {
  const named = {
    placement: "PLACEMENT_ENDPOINT",
    image: "GLANCE_ENDPOINT",
    compute: "NOVA_ENDPOINT",
  } as const;
  return Object.fromEntries(
    Object.entries(named).flatMap(([service, name]) => {
      const value = known[name];
      return value === undefined ? [] : [[service, checkedUrl(name, value)] as const];
    }),
  );
}

function keystoneOf(known: Known): SessionOptions["keystone"] {
  const { OS_AUTH_URL: given } = known;
  if (given === undefined) return undefined;
  const url = checkedUrl("OS_AUTH_URL", given).replace(/\/+$/, "");
  if (url.endsWith("/v2.0")) throw new Error("OS_AUTH_URL: expected version 3 of the API");
  const authUrl = url.endsWith("/v3") ? url : `${url}/v3`;
  return { authUrl, account: accountOf(known) };
}

/** fetch refuses a URL with a user in it, and its message would quote the password. */
function checkedUrl(name: string, value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  if (url === undefined || !isHttp || url.username !== "" || url.password !== "") {
    throw new Error(`${name}: expected an http or https URL without a user in it`);
  }
  return value;
}

function accountOf(known: Known): Account {
  const { OS_APPLICATION_CREDENTIAL_ID: id, OS_APPLICATION_CREDENTIAL_NAME: name } = known;
  if (id !== undefined || name !== undefined) {
    const secret = needed(known, "OS_APPLICATION_CREDENTIAL_SECRET");
    const credential = id === undefined ? { name } : { id };
    const user = id === undefined ? userOf(known) : undefined;
    return { kind: "application_credential", credential, user, secret };
  }
  const user = userOf(known);
  return {
    kind: "password",
    user,
    password: needed(known, "OS_PASSWORD"),
    project: projectOf(known),
  };
}

function userOf(known: Known): Named {
  const domain = domainOf(known.OS_USER_DOMAIN_ID, known.OS_USER_DOMAIN_NAME);
  return { name: needed(known, "OS_USERNAME"), domain };
}

function projectOf(known: Known): Named {
  if (known.OS_PROJECT_ID !== undefined) return { id: known.OS_PROJECT_ID };
  const domain = domainOf(known.OS_PROJECT_DOMAIN_ID, known.OS_PROJECT_DOMAIN_NAME);
  return { name: needed(known, "OS_PROJECT_NAME"), domain };
}

/** Keystone's first domain has the id `default`, and most clouds have no other. */
function domainOf(id: string | undefined, name: string | undefined): Domain {
  if (id !== undefined) return { id };
  return name === undefined ? { id: "default" } : { name };
}

function needed(known: Known, name: keyof Known): string {
  const value = known[name];
  if (value === undefined) throw new Error(`${name}: needed with OS_AUTH_URL`);
  return value;
}
