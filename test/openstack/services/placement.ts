import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newFolder, prepared, readersNeverWait } from "./folder.ts";
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
    const server = await servePlacement(folder, placementConfig(folder, "noauth2"));
    return {
      ...server,
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

async function makeDatabase(folder: string): Promise<void> {
  const file = join(folder, "placement.conf");
  writeFileSync(file, placementConfig(folder, "noauth2"));
  await command("/usr/bin/placement-manage", ["--config-file", file, "db", "sync"]);
  readersNeverWait(join(folder, "placement.db"));
  rmSync(file);
}

function placementConfig(folder: string, strategy: string): string {
  return `[api]
auth_strategy = ${strategy}
[placement_database]
connection = sqlite:///${folder}/placement.db
`;
}

/** Serves Placement with this configuration; its database is there. */
export async function servePlacement(folder: string, config: string): Promise<Placement> {
  writeFileSync(join(folder, "placement.conf"), config);
  const port = await freePort();
  const server = await serveWsgi({
    name: "placement",
    folder,
    script: "/usr/bin/placement-api",
    port,
    env: { OS_PLACEMENT_CONFIG_DIR: folder },
    probe: "/",
  });
  return { url: `http://127.0.0.1:${port}`, token: "admin", stop: async () => await server.stop() };
}
