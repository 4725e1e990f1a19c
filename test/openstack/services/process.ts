import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** A program to start: its name is that of its log. */
export interface Program {
  readonly name: string;
  /** Folder of the service; logs go into `logs/` below it. */
  readonly folder: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A running program with all its children. */
export interface Running {
  readonly name: string;
  /** The log's path and its last lines. */
  readonly tail: () => string;
  /** True once the program has ended by itself or was stopped. */
  readonly ended: () => boolean;
  /** Ends the whole process group: SIGTERM, SIGKILL after `graceMs`. */
  readonly stop: (graceMs?: number) => Promise<void>;
}

/** Debian's Python and its packages; another python3 may stand first on the caller's PATH. */
const debianPath = "/usr/sbin:/usr/bin:/sbin:/bin";

/** What every program and command of the tier sees of the environment: nothing of the caller's OS_*. */
function environmentOf(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { PATH: debianPath, HOME: "/tmp", LANG: "C.UTF-8", PYTHONWARNINGS: "ignore", ...more };
}

/**
 * Starts a program in a process group of its own. When this process is killed, the kernel kills the
 * program too (PDEATHSIG), so that an aborted run leaves nothing behind.
 */
export function launch({ name, folder, command, args, env }: Program): Running {
  mkdirSync(join(folder, "logs"), { recursive: true });
  const log = join(folder, "logs", `${name}.log`);
  const output = openSync(log, "a");
  const child = spawn("/usr/bin/setpriv", ["--pdeathsig", "KILL", command, ...args], {
    cwd: folder,
    detached: true,
    stdio: ["ignore", output, output],
    env: environmentOf(env),
  });
  closeSync(output);
  let failure: string | undefined;
  child.once("error", ({ message }) => {
    failure = message;
  });
  return {
    name,
    tail: () => `${log}\n${failure ?? tailOf(log)}`,
    ended: () => failure !== undefined || child.exitCode !== null || child.signalCode !== null,
    stop: async (graceMs = 10_000) => await endGroup(child, graceMs),
  };
}

function tailOf(log: string): string {
  return readFileSync(log, "utf8").slice(-3000);
}

async function endGroup({ pid }: ChildProcess, graceMs: number): Promise<void> {
  if (pid === undefined || !signalGroup(pid, "SIGTERM")) return;
  const end = Date.now() + graceMs;
  while (signalGroup(pid, 0)) {
    if (Date.now() > end) signalGroup(pid, "SIGKILL");
    await pause(20);
  }
}

/** False when nobody is left in the group. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}

/**
 * Starts a program and waits until `look` is true, looking every 50 ms. Rejects with the program's log,
 * and leaves nothing running, when the program ends by itself or takes too long.
 */
export async function serve(
  program: Program,
  look: () => Promise<boolean>,
  ms = 120_000,
): Promise<Running> {
  const running = launch(program);
  const end = Date.now() + ms;
  while (!(await look())) {
    const reason = running.ended() ? "ended by itself" : "is not ready";
    if (running.ended() || Date.now() > end) {
      await running.stop(0);
      throw new Error(`${program.name} ${reason}: ${running.tail()}`);
    }
    await pause(50);
  }
  return running;
}

/** True when the URL answers with something below 400. */
export async function answers(url: string, headers: Record<string, string> = {}): Promise<boolean> {
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(5000) });
    await response.arrayBuffer();
    return response.status < 400;
  } catch {
    return false;
  }
}

/** Runs a command to its end and returns its output; rejects with the output when it fails. */
export async function command(
  file: string,
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<string> {
  return await new Promise((resolve, reject) => {
    const options = { env: environmentOf(env), maxBuffer: 64 << 20 };
    execFile(file, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else
        reject(
          new Error(`${file} ${args.join(" ")}\n${stdout.slice(-2000)}${stderr.slice(-3000)}`),
        );
    });
  });
}

/** Ports of the loopback that are free now, all different. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject).listen(0, "127.0.0.1", resolve);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map(async (server) => await server[Symbol.asyncDispose]()));
  return ports;
}

/** One free port of the loopback. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}
