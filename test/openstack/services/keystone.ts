import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Account, admin, type Catalog, catalogOf } from "./catalog.ts";
import { newFolder, prepared, readersNeverWait } from "./folder.ts";
import { command, freePort } from "./process.ts";
import { serveWsgi } from "./wsgi.ts";

const recipe = { name: "keystone", package: "keystone", source: import.meta.filename };

/** A real Keystone with its accounts; other services join its catalog. */
export interface Keystone {
  /** With `/v3` at its end. */
  readonly authUrl: string;
  readonly admin: Account;
  readonly catalog: Catalog;
  readonly stop: () => Promise<void>;
}

/** Accounts of services; each has the roles admin and service in the project `service`. */
export const serviceUsers = ["placement", "glance", "nova", "neutron", "gatehouse"] as const;

/** The account of a service. */
export function serviceAccount(username: (typeof serviceUsers)[number]): Account {
  return { username, password: "secret", projectName: "service" };
}

/** An ordinary user: member of the project `demo`. */
export const demo: Account = { username: "demo", password: "secret", projectName: "demo" };

/** What an OpenStack client needs in its environment to be this account. */
export function osSettings(
  authUrl: string,
  account: Account,
): Readonly<Record<`OS_${string}`, string>> {
  return {
    OS_AUTH_URL: authUrl,
    OS_USERNAME: account.username,
    OS_PASSWORD: account.password,
    OS_PROJECT_NAME: account.projectName,
    OS_USER_DOMAIN_ID: "default",
    OS_PROJECT_DOMAIN_ID: "default",
    OS_REGION_NAME: "RegionOne",
  };
}

/** Keystone on SQLite with all accounts and itself in the catalog; about three seconds. */
export async function startKeystone(): Promise<Keystone> {
  const folder = newFolder("keystone");
  try {
    await prepared({ ...recipe, make: makeKeystone }, folder);
    writeConfig(folder);
    const port = await freePort();
    const server = await serveWsgi({
      name: "keystone",
      folder,
      script: "/usr/bin/keystone-wsgi-public",
      port,
      env: keystoneEnv(folder),
      probe: "/v3",
    });
    const authUrl = `http://127.0.0.1:${port}/v3`;
    const catalog = catalogOf(authUrl);
    await addAccounts(catalog, authUrl).catch(async (error: unknown) => {
      await server.stop();
      throw error;
    });
    return {
      authUrl,
      admin,
      catalog,
      stop: async () => {
        await server.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    console.error(`keystone did not start; its logs are in ${folder}`);
    throw error;
  }
}

function keystoneEnv(folder: string): Record<string, string> {
  return { OS_KEYSTONE_CONFIG_DIR: folder, OS_KEYSTONE_CONFIG_FILES: "keystone.conf" };
}

function writeConfig(folder: string): string {
  const file = join(folder, "keystone.conf");
  writeFileSync(
    file,
    `[database]
connection = sqlite:///${folder}/keystone.db
[fernet_tokens]
key_repository = ${folder}/fernet
[fernet_receipts]
key_repository = ${folder}/receipts
[credential]
key_repository = ${folder}/credential
[token]
provider = fernet
[cache]
enabled = true
backend = oslo_cache.dict
[identity]
password_hash_rounds = 4
`,
  );
  return file;
}

/** Schema, keys, the admin and a catalog whose URL the start sets right. */
async function makeKeystone(folder: string): Promise<void> {
  const config = writeConfig(folder);
  const manage = async (...args: readonly string[]) =>
    await command("/usr/bin/keystone-manage", ["--config-file", config, ...args]);
  const user = process.getuid?.() === 0 ? "root" : String(process.getuid?.());
  const keys = ["--keystone-user", user, "--keystone-group", user];
  await manage("db_sync");
  await manage("fernet_setup", ...keys);
  await manage("credential_setup", ...keys);
  const url = "http://127.0.0.1:5000/v3";
  await manage(
    "bootstrap",
    "--bootstrap-password",
    admin.password,
    "--bootstrap-region-id",
    "RegionOne",
    ...["admin", "internal", "public"].flatMap((name) => [`--bootstrap-${name}-url`, url]),
  );
  readersNeverWait(join(folder, "keystone.db"));
  rmSync(config);
}

/** One after the other: SQLite has one writer at a time. */
async function addAccounts(catalog: Catalog, authUrl: string): Promise<void> {
  await catalog.endpoint("identity", authUrl);
  await catalog.project("service");
  await catalog.role("service");
  await catalog.project(demo.projectName);
  await catalog.user(demo, ["member"]);
  for (const name of serviceUsers) await catalog.user(serviceAccount(name), ["admin", "service"]);
}
