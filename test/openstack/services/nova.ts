import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { newFolder } from "./folder.ts";
import type { Keystone } from "./keystone.ts";
import type { MariaDb } from "./mariadb.ts";
import { novaConfig } from "./nova-config.ts";
import { answers, freePort, launch, type Running, serve } from "./process.ts";
import type { RabbitMq } from "./rabbitmq.ts";
import { rest } from "./rest.ts";

/** A real Nova with one compute node whose guests are pretended. */
export interface Nova {
  /** With `/v2.1` at its end. */
  readonly url: string;
  readonly computeName: string;
  /** Folder of the services' logs. */
  readonly logs: string;
  readonly stop: () => Promise<void>;
}

/** What Nova needs of the others. */
export interface NovaNeeds {
  readonly keystone: Pick<Keystone, "authUrl" | "catalog">;
  readonly database: Pick<MariaDb, "url">;
  readonly rabbit: Pick<RabbitMq, "url">;
}

/** Longest wait of a compute node for accelerator events, in seconds: a test must not wait for it. */
const bindingTimeoutSeconds = 300;

/** Nova with its compute node found and in Placement; ten seconds. Enters itself in the catalog. */
export async function startNova({ keystone, database, rabbit }: NovaNeeds): Promise<Nova> {
  const folder = newFolder("nova");
  const port = await freePort();
  const computeName = "compute1";
  for (const name of ["state", "instances", "lock"]) mkdirSync(join(folder, name));
  const config = join(folder, "nova.conf");
  const { authUrl, catalog } = keystone;
  const rabbitUrl = rabbit.url;
  const settings = { folder, port, authUrl, rabbitUrl, database, computeName };
  writeFileSync(config, novaConfig({ ...settings, bindingTimeoutSeconds }));
  const service = (name: string) => ({
    name,
    folder,
    command: `/usr/bin/${name}`,
    args: ["--config-file", config],
  });
  const url = `http://127.0.0.1:${port}/v2.1`;
  await catalog.endpoint("compute", url);
  const running: Running[] = [];
  const stop = async () => {
    // Compute and conductor linger for a minute over messages that nobody answers.
    await Promise.all(running.map(async (one) => await one.stop(500)));
  };
  try {
    for (const name of ["nova-conductor", "nova-scheduler", "nova-compute"]) {
      running.push(launch(service(name)));
    }
    const root = `http://127.0.0.1:${port}/`;
    running.push(await serve(service("nova-api"), async () => await answers(root)));
    await nodeFound(url, await catalog.token(), running);
  } catch (error) {
    await stop();
    console.error(`nova did not start; its logs are in ${folder}/logs`);
    throw error;
  }
  return {
    url,
    computeName,
    logs: join(folder, "logs"),
    stop: async () => {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The scheduler maps the node once compute has written it. */
async function nodeFound(url: string, token: string, services: readonly Running[]): Promise<void> {
  const end = Date.now() + 120_000;
  for (;;) {
    const { body } = await rest<{ hypervisors?: readonly unknown[] }>({
      method: "GET",
      url: `${url}/os-hypervisors`,
      token,
    });
    if ((body.hypervisors ?? []).length > 0) return;
    const dead = services.find((one) => one.ended());
    if (dead !== undefined) throw new Error(`${dead.name} ended by itself: ${dead.tail()}`);
    if (Date.now() > end) {
      throw new Error(`no compute node: ${services.map((one) => one.tail()).join("\n")}`);
    }
    await pause(200);
  }
}
