import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "#domain/faults";

/** A DynamoDB on this machine. */
export interface Dynoxide {
  readonly endpoint: string;
  readonly stop: () => Promise<void>;
}

/** Where a DynamoDB of ours runs and what it keeps. */
export interface DynoxideOptions {
  /** The executable. */
  readonly program: string;
  /** The SQLite file with everything in it. */
  readonly file: string;
  /** Absent: a free one. */
  readonly port?: number;
  /** A folder to remove when this process dies, for tables that nobody wants to keep. */
  readonly scratch?: string;
}

/** How long a port that is still held by a predecessor is waited for, and a start may take. */
const startMs = 5000;
const pauseMs = 50;

/**
 * A process that is killed with −9 can clean nothing up, but the kernel closes its pipes: the
 * guard waits for the end of its input and then takes the server down. Server and guard are a
 * process group of their own, so that Ctrl-C reaches us first and not them.
 */
const guard = `
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(read -r _ <&3; [ -z "$GATEHOUSE_SCRATCH" ] || rm -rf -- "$GATEHOUSE_SCRATCH"; kill -9 "$server") &
guard=$!
exec 3<&-
wait "$server"
code=$?
kill "$guard" 2>/dev/null
exit "$code"
`;

/** The path of the executable. Throws TABLE_UNAVAILABLE on another platform than linux-x64. */
export function dynoxideProgram(platform: string, architecture: string): string {
  try {
    if (platform === "linux" && architecture === "x64") {
      return createRequire(import.meta.url).resolve("@dynoxide/linux-x64/dynoxide");
    }
  } catch {
    // Falls through: an optional dependency may be missing.
  }
  throw new Fault(
    "TABLE_UNAVAILABLE",
    `No DynamoDB for ${platform}-${architecture} comes with Gatehouse: set GATEHOUSE_TABLE_ENDPOINT to one`,
  );
}

/**
 * Starts the server, starts it again whenever it dies, and takes it down with this process.
 * Throws TABLE_UNAVAILABLE when it does not start within 5 s.
 */
export async function startDynoxide(options: DynoxideOptions): Promise<Dynoxide> {
  const ending = new AbortController();
  let { child, port } = await launch(options);
  const revive = async () => {
    await exited(child);
    while (!ending.signal.aborted) {
      ({ child } = await launch({ ...options, port }));
      if (ending.signal.aborted) kill(child);
      await exited(child);
    }
  };
  // A server that cannot be started again shows in every request; nothing is to be done here.
  const reviving = revive().catch(() => undefined);
  return {
    endpoint: `http://127.0.0.1:${port}`,
    stop: async () => {
      ending.abort();
      kill(child);
      await reviving;
    },
  };
}

async function launch(options: DynoxideOptions): Promise<{ child: ChildProcess; port: number }> {
  const deadline = performance.now() + startMs;
  for (;;) {
    const port = options.port ?? (await freePort());
    const child = spawnGuarded(options, port);
    const said = await firstLine(child);
    if (said.includes("listening on")) return { child, port };
    kill(child);
    if (!said.includes("in use") || performance.now() > deadline) {
      throw new Fault("TABLE_UNAVAILABLE", `dynoxide did not start: ${said}`);
    }
    await sleep(pauseMs);
  }
}

function spawnGuarded({ program, file, scratch }: DynoxideOptions, port: number): ChildProcess {
  const command = [program, "--port", String(port), "--db-path", file];
  return spawn("/bin/sh", ["-c", guard, "sh", ...command], {
    stdio: ["pipe", "ignore", "pipe"],
    detached: true,
    // One worker thread: SQLite serves one request at a time anyway, and the threads' fight for
    // its lock cost a third of the server's time and most of its tail latency.
    env: { TOKIO_WORKER_THREADS: "1", GATEHOUSE_SCRATCH: scratch ?? "", PATH: process.env["PATH"] },
  });
}

/** The line that tells of the start comes from our own child, so no other server is mistaken for it. */
async function firstLine(child: ChildProcess): Promise<string> {
  let said = "";
  const line = new Promise<string>((done) => {
    child.stderr?.on("data", (chunk: Buffer) => {
      if (said.length < 4096) said += chunk.toString();
      if (said.includes("\n")) done(said.trim());
    });
    child.once("error", (error) => done(error.message));
    child.once("close", () => done(said.trim() || "no word of why"));
  });
  const patience = new AbortController();
  const late = sleep(startMs, "no answer in time", { signal: patience.signal });
  late.catch(() => undefined);
  const first = await Promise.race([line, late]);
  patience.abort();
  return first;
}

function kill(child: ChildProcess): void {
  try {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
