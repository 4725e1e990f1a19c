import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import type { Sleep } from "../deadline.ts";
import { isKernelError, kernelError } from "../sysfs-port.ts";
import type { ToolResult } from "../tool-calls.ts";

/** A program with its arguments; no shell ever sees them. */
interface Run {
  /** Absolute. */
  readonly path: string;
  readonly args: readonly string[];
  /** How long it may take. */
  readonly ms: number;
  readonly sleep: Sleep;
  /** What is kept of each stream, bytes; a tool that says more is not stopped for it. */
  readonly keptBytes?: number;
}

/** Some of the programs are shell scripts round others, so they need a path; nothing else. */
export const environment = {
  LC_ALL: "C",
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
};

/**
 * Resolves when the program and whatever it started have closed their output. They are a process
 * group of their own, so that a wrapper script is not all that a kill ends. Rejects with the errno
 * of a start that failed, and with ETIMEDOUT when the bound has passed and the kill ended them all.
 */
export function runProgram(run: Run): Promise<ToolResult> {
  const { path, args, ms, sleep, keptBytes = 64 * 1024 } = run;
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, {
      cwd: "/",
      env: environment,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const stdout = gather(child.stdout, keptBytes);
    const stderr = gather(child.stderr, keptBytes);
    const over = new AbortController();
    let late = false;
    void sleep(ms, over.signal).then(() => {
      if (over.signal.aborted) return;
      late = true;
      killGroup(child);
    });
    child.once("error", (error) => {
      over.abort();
      reject(error);
    });
    child.once("close", (code) => {
      over.abort();
      if (late) reject(kernelError("ETIMEDOUT", `${path} took longer than ${ms} ms`));
      else resolve({ code, stdout: stdout(), stderr: stderr() });
    });
  });
}

/** Ends a program that was started detached, with whatever it started. */
export function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // It ended by itself in this moment.
    if (!isKernelError(error, "ESRCH")) throw error;
  }
}

/** Keeps the start of a stream and lets the rest pass, so that the program never waits for us. */
function gather(stream: Readable, keptBytes: number): () => string {
  const kept: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    if (bytes < keptBytes) kept.push(chunk.subarray(0, keptBytes - bytes));
    bytes += chunk.length;
  });
  return () => Buffer.concat(kept).toString();
}
