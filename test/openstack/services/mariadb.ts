import { mkdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { command, freePort, type Running, serve } from "./process.ts";

/** A running MariaDB that several services share. */
export interface MariaDb {
  /** What SQLAlchemy connects to; the database must exist. */
  readonly url: (database: string) => string;
  readonly sql: (statement: string) => Promise<string>;
  readonly stop: () => Promise<void>;
}

/** Makes an empty data folder in `folder` (about a second). */
export async function makeDataFolder(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  await command("/usr/bin/mariadb-install-db", [
    "--no-defaults",
    `--user=${userName()}`,
    `--datadir=${folder}`,
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
  ]);
}

/** Starts MariaDB on a data folder; it may lose the last writes when the machine crashes. */
export async function startMariaDb(folder: string, dataFolder: string): Promise<MariaDb> {
  const port = await freePort();
  const socket = join(folder, "mariadb.sock");
  const server = await serve(
    {
      name: "mariadb",
      folder,
      command: "/usr/sbin/mariadbd",
      args: [
        "--no-defaults",
        `--user=${userName()}`,
        `--datadir=${dataFolder}`,
        "--bind-address=127.0.0.1",
        `--port=${port}`,
        `--socket=${socket}`,
        `--pid-file=${join(folder, "mariadb.pid")}`,
        ..."--skip-name-resolve --skip-log-bin --max-connections=1000".split(" "),
        ..."--innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=0".split(" "),
        "--innodb-log-file-size=16M",
      ],
    },
    async () => await accepts(port),
  );
  return {
    url: (database) => `mysql+pymysql://os:os@127.0.0.1:${port}/${database}?charset=utf8`,
    sql: async (statement) =>
      await command("/usr/bin/mariadb", ["-uroot", `-S${socket}`, "-N", "-e", statement]),
    stop: async () => await stopped(server),
  };
}

/** MariaDB writes its pages when it ends; a prepared folder needs them all. */
async function stopped(server: Running): Promise<void> {
  await server.stop(60_000);
}

function userName(): string {
  return process.getuid?.() === 0 ? "root" : (process.env["USER"] ?? "nobody");
}

/** True when somebody listens on the port of the loopback. */
export async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}
