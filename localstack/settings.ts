import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Keys an SDK client uses against the offline bucket. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What the offline cloud is started with (docs/configuration.md). */
export interface OfflineSettings {
  readonly port: number;
  readonly dataDir: string;
  readonly simulatedHosts: number;
  readonly auth: "none" | "oidc" | "keystone";
  readonly tableEndpoint: string | undefined;
  /** Settings of the functions that were given by the environment, such as the signature policy. */
  readonly functions: Readonly<Record<string, string>>;
}

/** Settings that are handed on to the functions as they are. */
const handedOn = [
  "GATEHOUSE_OIDC_ISSUER",
  "GATEHOUSE_OIDC_AUDIENCE",
  "GATEHOUSE_SIGNATURE_POLICY",
  "GATEHOUSE_DEFAULT_QUOTA",
  "GATEHOUSE_BIND_DEADLINE_SECONDS",
  "GATEHOUSE_MAX_IMAGE_BYTES",
  "GATEHOUSE_PLACEMENT_SHAPE",
  "GATEHOUSE_SERVICE_TOKENS",
  "GATEHOUSE_SERVICE_ROLES",
  "GATEHOUSE_TOKEN_CACHE_SECONDS",
  "GATEHOUSE_GLANCE",
  "GATEHOUSE_ACCELERATOR_POLICY",
  "OS_AUTH_URL",
  "OS_USERNAME",
  "OS_PASSWORD",
  "OS_PROJECT_NAME",
  "OS_PROJECT_ID",
  "OS_USER_DOMAIN_NAME",
  "OS_USER_DOMAIN_ID",
  "OS_PROJECT_DOMAIN_NAME",
  "OS_PROJECT_DOMAIN_ID",
  "OS_APPLICATION_CREDENTIAL_ID",
  "OS_APPLICATION_CREDENTIAL_NAME",
  "OS_APPLICATION_CREDENTIAL_SECRET",
  "OS_REGION_NAME",
  "OS_INTERFACE",
  "PLACEMENT_ENDPOINT",
  "GLANCE_ENDPOINT",
  "NOVA_ENDPOINT",
  "CYBORG_ENDPOINT",
];

/** Reads the settings; throws with the variable's name when one is wrong. */
export function offlineSettings(
  environment: Readonly<Record<string, string | undefined>>,
): OfflineSettings {
  const auth = environment["GATEHOUSE_AUTH"] ?? "none";
  if (auth !== "none" && auth !== "oidc" && auth !== "keystone") {
    throw new Error(`GATEHOUSE_AUTH: expected none, oidc or keystone, not ${auth}`);
  }
  const functions = handedOn.flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    port: wholeNumber(environment, "GATEHOUSE_PORT", 4510, 65_534),
    dataDir: environment["GATEHOUSE_DATA"] ?? ".gatehouse",
    simulatedHosts: wholeNumber(environment, "GATEHOUSE_SIMULATED_HOSTS", 2, 64),
    auth,
    tableEndpoint: environment["GATEHOUSE_TABLE_ENDPOINT"],
    functions: Object.fromEntries(functions),
  };
}

function wholeNumber(
  environment: Readonly<Record<string, string | undefined>>,
  name: string,
  fallback: number,
  most: number,
): number {
  const text = environment[name];
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > most) {
    throw new Error(`${name}: expected a whole number from 0 to ${most}, not ${text}`);
  }
  return value;
}

/** Keys of this data folder: made once, readable by its owner only. */
export function keptCredentials(dataDir: string): Credentials {
  const file = join(dataDir, "credentials.json");
  if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8")) as Credentials;
  mkdirSync(dataDir, { recursive: true });
  const credentials = {
    accessKeyId: `GATEHOUSE${randomBytes(5).toString("hex").toUpperCase()}`,
    secretAccessKey: randomBytes(24).toString("base64url"),
  };
  writeFileSync(file, JSON.stringify(credentials, null, 2), { mode: 0o600 });
  return credentials;
}
