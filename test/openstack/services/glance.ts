import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newFolder, prepared, readersNeverWait } from "./folder.ts";
import { type Keystone, serviceAccount } from "./keystone.ts";
import { keystoneSection } from "./oslo.ts";
import { answers, command, freePort, serve } from "./process.ts";

const recipe = { name: "glance", package: "glance-api", source: import.meta.filename };

/** A real Glance that asks Keystone who calls, with its files on disk. */
export interface Glance {
  /** Without `/v2`. */
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/** Glance on SQLite and a folder, entered in Keystone's catalog; about three seconds. */
export async function startGlance(
  keystone: Pick<Keystone, "authUrl" | "catalog">,
): Promise<Glance> {
  const folder = newFolder("glance");
  try {
    await prepared({ ...recipe, make: makeDatabase }, folder);
    const port = await freePort();
    const config = writeConfig(folder, port, keystone.authUrl);
    const url = `http://127.0.0.1:${port}`;
    const server = await serve(
      {
        name: "glance",
        folder,
        command: "/usr/bin/glance-api",
        args: ["--config-file", config],
      },
      async () => await answers(`${url}/versions`),
    );
    await keystone.catalog.endpoint("image", url);
    return {
      url,
      stop: async () => {
        await server.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    console.error(`glance did not start; its logs are in ${folder}`);
    throw error;
  }
}

function writeConfig(folder: string, port: number, authUrl: string): string {
  for (const name of ["images", "staging", "tasks", "lock"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  const file = join(folder, "glance-api.conf");
  writeFileSync(
    file,
    `[DEFAULT]
bind_host = 127.0.0.1
bind_port = ${port}
workers = 0
enabled_backends = fs:file
[database]
connection = sqlite:///${folder}/glance.db
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = ${folder}/images
[os_glance_staging_store]
filesystem_store_datadir = ${folder}/staging
[os_glance_tasks_store]
filesystem_store_datadir = ${folder}/tasks
[oslo_concurrency]
lock_path = ${folder}/lock
[paste_deploy]
flavor = keystone
config_file = /etc/glance/glance-api-paste.ini
${keystoneSection("keystone_authtoken", authUrl, serviceAccount("glance"))}`,
  );
  return file;
}

async function makeDatabase(folder: string): Promise<void> {
  const config = writeConfig(folder, 1, "http://127.0.0.1:1/v3");
  await command("/usr/bin/glance-manage", ["--config-file", config, "db_sync"]);
  readersNeverWait(join(folder, "glance.db"));
  rmSync(config);
}
