import { createPublicKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { Fault, faults, isFault } from "#domain/faults";
import { type PlugTarget, plugTarget } from "#protocol/wire/shapes";
import {
  type CommandName,
  type Flags,
  helpText,
  parseCommandLine,
  required,
} from "./command-line.ts";
import { type Identity, readSettings, type Settings } from "./config.ts";
import { openHardware } from "./hardware.ts";
import { privateFolder } from "./host/files.ts";
import { openVirsh } from "./host/linux/virsh.ts";
import { hypervisors } from "./hypervisors/index.ts";
import { agentKey, readIdentity } from "./identity.ts";
import { joinCloud } from "./join.ts";
import { askAgent } from "./local-client.ts";
import { machineOf } from "./machine.ts";
import type { AgentOptions } from "./options.ts";
import { type Log, systemClock, systemSleep } from "./runtime.ts";
import { startAgent } from "./start.ts";
import { readTrustedKeys, trustPolicy } from "./trusted-keys.ts";
import { agentVersion } from "./version.ts";
import { feedWatchdog, systemdNotify, watchdogInterval } from "./watchdog.ts";

const env = process.env;

const log: Log = (event, facts) => {
  process.stderr.write(`${JSON.stringify({ event, ...facts })}\n`);
};

/** Who this machine is does not follow from the cards it serves, which may be simulated. */
const thisMachine = { read: (path: string) => readFile(path, "utf8") };

const print = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
};

/** Each command with its settings; what it prints is JSON for people and programs alike. */
const actions: Readonly<Record<CommandName, (settings: Settings, flags: Flags) => Promise<void>>> =
  {
    run,
    join: async (settings, flags) => {
      const { host, nodeName } = await joinCloud({
        url: flags.url ?? settings.url ?? required(flags, "url"),
        token: required(flags, "token"),
        nodeName: flags.name ?? hostname(),
        stateDir: settings.stateDir,
        kernel: thisMachine,
        fetch,
      });
      print({ joined: true, host, nodeName });
    },
    status: async ({ socket, stateDir }) => {
      const identity = await readIdentity(stateDir);
      if (identity === undefined) print({ joined: false, hint: "gatehouse-agent join" });
      else print(await askAgent(socket, { verb: "status" }));
    },
    plug: async ({ socket }, flags) => {
      const target: PlugTarget = plugTarget.parse({
        hypervisor: flags.hypervisor ?? "libvirt",
        ...(flags.domain === undefined ? {} : { domain: flags.domain }),
      });
      print(await askAgent(socket, { verb: "plug", permit: await permitText(flags), target }));
    },
    unplug: async ({ socket }, flags) => {
      print(await askAgent(socket, { verb: "unplug", permit: await permitText(flags) }));
    },
  };

/** `--permit @file` reads the permit, so that it need not stand in the process list. */
async function permitText(flags: Flags): Promise<string> {
  const text = required(flags, "permit");
  return text.startsWith("@") ? (await readFile(text.slice(1), "utf8")).trim() : text;
}

async function run(settings: Settings): Promise<void> {
  const identity = await readIdentity(settings.stateDir);
  if (identity === undefined) {
    throw new Fault("UNAUTHENTICATED", "this machine has not joined: gatehouse-agent join");
  }
  const agent = await startAgent(await optionsOf(settings, identity));
  const notify = systemdNotify(env, log);
  const ending = new AbortController();
  const stop = () => ending.abort();
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  await notify("READY=1");
  log("ready", { host: identity.host, version: agentVersion });
  const every = watchdogInterval(env) ?? 10_000;
  await feedWatchdog(notify, () => agent.isAlive(), {
    every,
    sleep: systemSleep,
    signal: ending.signal,
  });
  await notify("STOPPING=1");
  await agent.stop();
}

async function optionsOf(settings: Settings, identity: Identity): Promise<AgentOptions> {
  const { stateDir, socket, cacheMebibytes, imageOrigins } = settings;
  await privateFolder(stateDir);
  const keys = await readTrustedKeys(settings.trustedKeys);
  const clock = systemClock;
  const hardware = await openHardware(settings, identity.host, log);
  return {
    ...hardware,
    hostId: identity.host,
    key: await agentKey(stateDir, false),
    cloud: { socketUrl: identity.socketUrl, httpUrl: settings.url ?? identity.httpUrl },
    stateDir,
    // A process without privilege cannot read the machine's uuid itself.
    machine: await machineOf(settings.helper === undefined ? thisMachine : hardware.kernel),
    hypervisors: hypervisors({
      cdi: { directory: settings.cdiDirectory },
      qemu: { directory: settings.qmpDirectory },
      libvirt: await libvirtOf(settings),
    }),
    clock,
    random: Math.random,
    sleep: systemSleep,
    log,
    permitKey: createPublicKey(identity.permitKey),
    trust: trustPolicy(keys, settings.requireSignature, () => new Date(clock.wall())),
    allowedOrigins: [...imageOrigins, ...(identity.imageOrigins ?? [])],
    cacheBytes: cacheMebibytes * 2 ** 20,
    localSocket: socket,
    scanMs: settings.scanSeconds * 1000,
  };
}

/** A simulated card cannot go into a real guest. */
async function libvirtOf({ simulated, virsh, libvirtUri, stateDir }: Settings) {
  if (simulated !== undefined) return {};
  const folder = join(stateDir, "virsh");
  const opened = await openVirsh({ path: virsh, uri: libvirtUri, folder });
  log("libvirt", opened ? { live: true, virsh, uri: libvirtUri } : { live: false });
  return opened ? { virsh: opened } : {};
}

async function main(): Promise<void> {
  const invocation = parseCommandLine(process.argv.slice(2));
  if ("flags" in invocation) {
    const { command, flags } = invocation;
    await actions[command](await readSettings(env, flags), flags);
    return;
  }
  process.stdout.write(invocation.command === "help" ? helpText() : `${agentVersion}\n`);
}

main().catch((error: unknown) => {
  const code = isFault(error) ? error.code : "INTERNAL";
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`error ${code}: ${message}\n`);
  process.exitCode = faults[code].exit;
});
