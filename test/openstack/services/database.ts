import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newFolder, prepared } from "./folder.ts";
import { type MariaDb, makeDataFolder, startMariaDb } from "./mariadb.ts";
import { novaDatabaseSections } from "./nova-config.ts";
import { placementConfig } from "./placement.ts";
import { command } from "./process.ts";

const databases = ["placement", "nova_api", "nova_cell0", "nova"];

/** A MariaDB with the empty databases of Placement and Nova; two seconds, the first time thirty. */
export async function startDatabase(): Promise<MariaDb> {
  const folder = newFolder("mariadb");
  const data = join(folder, "data");
  const recipe = { name: "mariadb", package: "nova-api", source: import.meta.filename };
  await prepared({ ...recipe, make: makeDatabases }, data);
  const database = await startMariaDb(folder, data);
  return {
    ...database,
    stop: async () => {
      await database.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function makeDatabases(data: string): Promise<void> {
  const folder = newFolder("mariadb-make");
  await makeDataFolder(data);
  const database = await startMariaDb(folder, data);
  try {
    await database.sql("GRANT ALL ON *.* TO os@'127.0.0.1' IDENTIFIED BY 'os'");
    for (const name of databases) {
      await database.sql(`CREATE DATABASE ${name} CHARACTER SET utf8`);
    }
    await Promise.all([syncPlacement(folder, database), syncNova(folder, database)]);
  } finally {
    await database.stop();
  }
  rmSync(folder, { recursive: true, force: true });
}

async function syncPlacement(folder: string, database: MariaDb): Promise<void> {
  const file = join(folder, "placement.conf");
  writeFileSync(file, placementConfig("noauth2", database.url("placement")));
  await command("/usr/bin/placement-manage", ["--config-file", file, "db", "sync"]);
}

/** Cells whose URLs follow the configuration: ports differ from run to run. */
async function syncNova(folder: string, database: MariaDb): Promise<void> {
  const file = join(folder, "nova.conf");
  writeFileSync(
    file,
    `[DEFAULT]\ntransport_url = rabbit://os:os@127.0.0.1:5672/\n${novaDatabaseSections(database)}`,
  );
  const manage = async (...args: readonly string[]) =>
    await command("/usr/bin/nova-manage", ["--config-file", file, ...args]);
  const server = "{scheme}://{username}:{password}@{hostname}:{port}";
  const cell = (name: string) => ["--database_connection", `${server}/${name}?{query}`];
  await manage("api_db", "sync");
  await manage("cell_v2", "map_cell0", ...cell("nova_cell0"));
  await manage(
    ...`cell_v2 create_cell --name cell1 --transport-url ${server}/`.split(" "),
    ...cell("nova"),
  );
  await manage("db", "sync");
}
