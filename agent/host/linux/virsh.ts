import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Fault } from "#domain/faults";
import { realSleep, type Sleep } from "../deadline.ts";
import { privateFolder, replaceFile } from "../files.ts";
import { isDomainName } from "../guest-name.ts";
import { isKernelError } from "../sysfs-port.ts";
import type { ToolResult } from "../tool-calls.ts";
import { type DeviceEvent, type Virsh, VirshError } from "../virsh.ts";
import { environment, killGroup, runProgram } from "./run-program.ts";

/** Where virsh is and what it talks to. */
export interface LinuxVirshOptions {
  /** Absolute path of the program. */
  readonly path: string;
  /** libvirt connection URI, such as `qemu:///system`. */
  readonly uri: string;
  /** Private folder for the XML that virsh reads; made when missing. */
  readonly folder: string;
  /**
   * Bound of a call that changes a domain, ms. With a look before and after it stays below the
   * plugin's own bound, so that no call outlives the plug it belongs to.
   */
  readonly changeMs?: number;
  /** Bound of a call that only reads, ms. */
  readonly readMs?: number;
  readonly sleep?: Sleep;
}

/** The program `virsh`, or undefined on a host that does not have it. */
export async function openVirsh(options: LinuxVirshOptions): Promise<Virsh | undefined> {
  return access(options.path, constants.X_OK).then(
    () => linuxVirsh(options),
    () => undefined,
  );
}

function linuxVirsh(options: LinuxVirshOptions): Virsh {
  const { folder, readMs = 5000, changeMs = 15_000 } = options;
  return {
    dumpxml: async (domain) =>
      await run(options, readMs, ["dumpxml", "--domain", domainOf(domain)]),
    async attach(domain, alias, xml) {
      const path = join(folder, `${aliasOf(alias)}.xml`);
      const args = ["attach-device", "--domain", domainOf(domain), "--file", path, "--live"];
      await privateFolder(folder);
      try {
        await replaceFile(path, xml);
        await run(options, changeMs, args);
      } finally {
        await rm(path, { force: true });
      }
    },
    async detachAlias(domain, alias) {
      const which = ["--domain", domainOf(domain), "--alias", aliasOf(alias)];
      await run(options, changeMs, ["detach-device-alias", ...which, "--live"]);
    },
    watch: (domain, listener) => watch(options, domainOf(domain), listener),
  };
}

function domainOf(domain: string): string {
  if (isDomainName(domain)) return domain;
  throw new Fault("INVALID_REQUEST", "Not a domain's name or uuid", { field: "domain" });
}

/** libvirt keeps only such aliases as users give (host.md §4.2); it also becomes a file's name. */
function aliasOf(alias: string): string {
  if (/^ua-[a-z0-9-]{1,64}$/.test(alias)) return alias;
  throw new Fault("INVALID_REQUEST", "Not an alias", { field: "alias", expected: "ua-…" });
}

const argumentsOf = ({ uri }: LinuxVirshOptions, args: readonly string[]): readonly string[] => [
  "--quiet",
  "--connect",
  uri,
  ...args,
];

async function run(
  options: LinuxVirshOptions,
  ms: number,
  args: readonly string[],
): Promise<string> {
  const { path, sleep = realSleep } = options;
  const call = { path, args: argumentsOf(options, args), ms, sleep, keptBytes: 4 * 1024 * 1024 };
  const result = await runProgram(call).catch((error: unknown) => {
    if (isKernelError(error, "ETIMEDOUT")) {
      throw new VirshError("late", `virsh ${args[0]} took longer than ${ms} ms`);
    }
    throw new VirshError("unreachable", `virsh cannot be started: ${String(error)}`);
  });
  if (result.code === 0) return result.stdout;
  throw errorOf(result);
}

/** virsh says everything by exit code 1; the words are the C locale's. */
function errorOf({ stderr }: ToolResult): VirshError {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const words = lines.map((line) => line.replace(/^error: /, "")).join(": ");
  const message = words === "" ? "virsh failed without a word" : words.slice(0, 300);
  if (/failed to connect to the hypervisor/i.test(words)) {
    return new VirshError("unreachable", message);
  }
  const isUnknown = (line: string) => /failed to get domain|domain not found/i.test(line);
  const unknown = lines.length > 0 && lines.every(isUnknown);
  return new VirshError(unknown ? "unknown-domain" : "refused", message);
}

/** Older versions write the domain without quotes. */
const eventLine = /^event '(device-removed|device-removal-failed)' for domain .+: (ua-[a-z0-9-]+)$/;

/** One child hears both events; `--event` takes only one of them. */
function watch(
  options: LinuxVirshOptions,
  domain: string,
  listener: (event: DeviceEvent) => void,
): { readonly stop: () => void } {
  const args = ["event", "--domain", domain, "--all", "--loop", "--timeout", "120"];
  const child = spawn(options.path, argumentsOf(options, args), {
    cwd: "/",
    env: environment,
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
  });
  // A watch that cannot start or ends early costs only the news: whoever waits also looks.
  child.once("error", () => undefined);
  createInterface({ input: child.stdout }).on("line", (line) => {
    const [, event, alias = ""] = eventLine.exec(line) ?? [];
    if (event === "device-removed" || event === "device-removal-failed") listener({ event, alias });
  });
  return {
    stop: () => {
      if (child.exitCode === null && child.signalCode === null) killGroup(child);
    },
  };
}
