import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newFolder } from "./folder.ts";
import { accepts } from "./mariadb.ts";
import { freePorts, type Program, type Running, serve } from "./process.ts";

/** A running message broker. */
export interface RabbitMq {
  /** What oslo.messaging connects to. */
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/** RabbitMQ with a port mapper of its own; about eight seconds. */
export async function startRabbitMq(): Promise<RabbitMq> {
  const folder = newFolder("rabbitmq");
  const [port = 0, distribution = 0, mapper = 0] = await freePorts(3);
  const env = rabbitEnv(folder, { port, distribution, mapper });
  // Erlang would start it as a daemon that outlives everything.
  const epmd = await serve(
    {
      name: "epmd",
      folder,
      command: "/usr/bin/epmd",
      args: ["-address", "127.0.0.1", "-port", String(mapper)],
    },
    async () => await accepts(mapper),
  );
  const stopped = async (server?: Running) => {
    await server?.stop();
    await epmd.stop();
  };
  try {
    const server = await serve(broker(folder, env), async () => await accepts(port));
    return {
      url: `rabbit://os:os@127.0.0.1:${port}/`,
      stop: async () => {
        await stopped(server);
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await stopped();
    throw error;
  }
}

function broker(folder: string, env: Readonly<Record<string, string>>): Program {
  return {
    name: "rabbitmq",
    folder,
    env,
    command: "/usr/lib/rabbitmq/bin/rabbitmq-server",
    args: [],
  };
}

interface Ports {
  readonly port: number;
  readonly distribution: number;
  readonly mapper: number;
}

function rabbitEnv(folder: string, ports: Ports): Record<string, string> {
  const path = (name: string) => join(folder, name);
  mkdirSync(path("mnesia"));
  writeFileSync(path("plugins"), "[].");
  writeFileSync(
    path("rabbitmq.conf"),
    `listeners.tcp.1 = 127.0.0.1:${ports.port}
default_user = os
default_pass = os
loopback_users = none
`,
  );
  return {
    HOME: folder,
    // Without it the broker is a child of a shell that waits for it.
    RUNNING_UNDER_SYSTEMD: "true",
    RABBITMQ_NODENAME: "os@localhost",
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: String(ports.port),
    RABBITMQ_DIST_PORT: String(ports.distribution),
    RABBITMQ_MNESIA_BASE: path("mnesia"),
    RABBITMQ_LOG_BASE: path("logs"),
    RABBITMQ_ENABLED_PLUGINS_FILE: path("plugins"),
    RABBITMQ_CONFIG_FILE: path("rabbitmq"),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
    ERL_EPMD_ADDRESS: "127.0.0.1",
    ERL_EPMD_PORT: String(ports.mapper),
  };
}
