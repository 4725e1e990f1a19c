import { lstat, rm, stat } from "node:fs/promises";
import type { Server } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Fault, faults, isFault } from "#domain/faults";
import { maxImageBytes } from "#protocol/images/digest";
import { readBlankImages } from "./blank-images.ts";
import { defaultConfigPath, readSettings, type Settings } from "./config.ts";
import { linuxMachine, listedCards } from "./linux-machine.ts";
import { serveHelper } from "./privileged/server.ts";
import { type Powers, perform } from "./privileged/verbs.ts";
import { readTrustedKeys, trustPolicy } from "./trusted-keys.ts";

const env = process.env;

const help = `usage: gatehouse-helper [--config FILE]

The privileged half of gatehouse-agent: a closed list of requests on the unix socket that the setting
\`helper\` names, or on the one that systemd hands over. See docs/agent.md.
`;

/** Who can write the settings says what this process may touch. */
async function requireOwnSettings(path: string): Promise<void> {
  const file = await stat(path).catch(() => undefined);
  if (file === undefined) return;
  const owned = file.uid === process.getuid?.() && (file.mode & 0o022) === 0;
  if (owned) return;
  throw new Fault("FORBIDDEN", `${path} can be written by others`, { field: "config" });
}

async function powersOf(settings: Settings): Promise<Powers> {
  const { stateDir, trustedKeys, requireSignature, blankImages, deny } = settings;
  const folder = env["RUNTIME_DIRECTORY"] ?? "/run/gatehouse-helper";
  const machine = linuxMachine(settings, join(folder, "tools"));
  const keys = await readTrustedKeys(trustedKeys);
  return {
    ...machine,
    guard: { port: machine.port, cards: listedCards(settings), deny },
    images: {
      folder: join(stateDir, "images"),
      maxBytes: maxImageBytes,
      trust: trustPolicy(keys, requireSignature, () => new Date()),
      blanks: await readBlankImages(blankImages),
    },
  };
}

/** The socket systemd opened, whose owner and mode its unit says, or one of our own, mode 0600. */
async function listen(server: Server, path: string | undefined): Promise<void> {
  const handed = env["LISTEN_FDS"] === "1" && env["LISTEN_PID"] === String(process.pid);
  if (!handed && path === undefined) {
    throw new Fault("INVALID_REQUEST", "setting helper: a socket is needed", { field: "helper" });
  }
  // A helper that was killed left its socket.
  const left = handed || path === undefined ? undefined : await lstat(path).catch(() => undefined);
  if (path !== undefined && left?.isSocket()) await rm(path);
  const before = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      if (handed) server.listen({ fd: 3 }, resolve);
      else server.listen(path, resolve);
    });
  } finally {
    process.umask(before);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { config: { type: "string" }, help: { type: "boolean" } },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return;
  }
  const config = values.config ?? env["GATEHOUSE_CONFIG"];
  await requireOwnSettings(config ?? defaultConfigPath);
  const settings = await readSettings(env, config === undefined ? {} : { config });
  const powers = await powersOf(settings);
  const serving = serveHelper(
    (server) => listen(server, settings.helper),
    (request) => perform(powers, request),
  );
  const stop = () => {
    serving
      .then((helper) => helper.close())
      .then(
        () => process.exit(0),
        () => process.exit(1),
      );
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  await serving;
  process.stderr.write(`${JSON.stringify({ event: "helper-ready" })}\n`);
}

main().catch((error: unknown) => {
  const code = isFault(error) ? error.code : "INTERNAL";
  process.stderr.write(
    `error ${code}: ${error instanceof Error ? error.message : String(error)}\n`,
  );
  process.exitCode = faults[code].exit;
});
