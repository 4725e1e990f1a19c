import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newFolder, prepared, readersNeverWait } from "./folder.ts";
import { type Keystone, serviceAccount } from "./keystone.ts";
import type { MariaDb } from "./mariadb.ts";
import { keystoneSection } from "./oslo.ts";
import { command, freePort } from "./process.ts";
import { serveWsgi } from "./wsgi.ts";

const recipe = { name: "placement", package: "placement-api", source: import.meta.filename };

/** A real Placement that takes the token `admin` (noauth2). */
export interface Placement {
  readonly url: string;
  readonly token: "admin";
  readonly stop: () => Promise<void>;
}

/** Placement on SQLite; about a second. It takes one request at a time. */
export async function startPlacement(): Promise<Placement> {
  const folder = newFolder("placement");
  try {
    await prepared({ ...recipe, make: makeDatabase }, folder);
    const server = await servePlacement(folder, sqliteConfig(folder));
    return {
      url: server.url,
      token: "admin",
      stop: async () => {
        await server.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    console.error(`placement did not start; its logs are in ${folder}`);
    throw error;
  }
}

function sqliteConfig(folder: string): string {
  return placementConfig("noauth2", `sqlite:///${folder}/placement.db`);
}

async function makeDatabase(folder: string): Promise<void> {
  const file = join(folder, "placement.conf");
  writeFileSync(file, sqliteConfig(folder));
  await command("/usr/bin/placement-manage", ["--config-file", file, "db", "sync"]);
  readersNeverWait(join(folder, "placement.db"));
  rmSync(file);
}

/** The text of placement.conf; with the strategy `keystone` a section of Keystone's follows it. */
export function placementConfig(strategy: "noauth2" | "keystone", database: string): string {
  return `[api]
auth_strategy = ${strategy}
[placement_database]
connection = ${database}
`;
}

/** Serves Placement with this configuration until it is stopped; its database is there. */
export async function servePlacement(
  folder: string,
  config: string,
  threads = 1,
): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> {
  writeFileSync(join(folder, "placement.conf"), config);
  const port = await freePort();
  const server = await serveWsgi({
    name: "placement",
    folder,
    script: "/usr/bin/placement-api",
    port,
    env: { OS_PLACEMENT_CONFIG_DIR: folder },
    probe: "/",
    threads,
  });
  return { url: `http://127.0.0.1:${port}`, stop: async () => await server.stop() };
}

/**
 * Placement on MariaDB that asks Keystone who calls; takes requests side by side. Enters itself in the
 * catalog.
 */
export async function startKeystonePlacement(
  keystone: Pick<Keystone, "authUrl" | "catalog">,
  database: Pick<MariaDb, "url">,
): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> {
  const folder = newFolder("placement");
  const identity = keystoneSection(
    "keystone_authtoken",
    keystone.authUrl,
    serviceAccount("placement"),
  );
  const config = `${placementConfig("keystone", database.url("placement"))}${identity}`;
  const server = await servePlacement(folder, config, 4);
  await keystone.catalog.endpoint("placement", server.url);
  return {
    url: server.url,
    stop: async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
