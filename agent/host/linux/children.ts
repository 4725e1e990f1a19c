import { ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { type Sleep, withDeadline } from "../deadline.ts";
import { type KernelError, kernelError } from "../sysfs-port.ts";
import type { ChildAnswer, ChildRequest } from "./child-request.ts";
import { frameLine } from "./frames.ts";

/** The processes that enter the kernel for the agent (host.md §2.7, §3.1). */
export interface KernelChildren {
  /**
   * Has a child do a request. Rejects with the kernel's error, with ETIMEDOUT when `deadlineMs`
   * passes (the child goes on, the kernel cannot be told to stop), with ECHILD when it dies.
   */
  call(request: ChildRequest, options?: CallOptions): Promise<string>;
  /** Ends the idle children; one that is in the kernel ends when it comes back. */
  close(): void;
}

export interface CallOptions {
  readonly payload?: Buffer;
  readonly deadlineMs?: number;
}

export interface ChildrenOptions {
  /** `agent/kernel-child.ts`, or its bundle. */
  readonly script: string;
  readonly sleep: Sleep;
}

type Process = ChildProcessByStdio<Writable, Readable, null>;

interface Child {
  readonly process: Process;
  ask(request: ChildRequest, payload: Buffer | undefined): Promise<string>;
}

/**
 * Keeps one child started ahead, because a start takes longer than most calls. Calls run beside
 * each other, each in a child of its own: one that blocks holds up no other.
 */
export function kernelChildren({ script, sleep }: ChildrenOptions): KernelChildren {
  const idle: Child[] = [];
  let closed = false;
  const rest = (child: Child) => {
    const { exitCode, signalCode } = child.process;
    // One that died answered by that; it has no next call.
    if (exitCode !== null || signalCode !== null) return;
    if (closed || idle.length > 0) child.process.stdin.end();
    else idle.push(child);
  };
  const start = () => {
    const child = startChild(script, () => {
      const index = idle.indexOf(child);
      if (index >= 0) idle.splice(index, 1);
    });
    return child;
  };
  rest(start());
  return {
    async call(request, { payload, deadlineMs } = {}) {
      const child = idle.pop() ?? start();
      // A program keeps its child for long; whoever comes next should not wait for a start.
      if (request.verb === "program") rest(start());
      const answer = child.ask(request, payload);
      answer.then(
        () => rest(child),
        () => rest(child),
      );
      if (deadlineMs === undefined) return await answer;
      const late = () => kernelError("ETIMEDOUT", `${request.verb} did not end`);
      return await withDeadline(answer, { ms: deadlineMs, sleep, late });
    },
    close() {
      closed = true;
      for (const child of idle.splice(0)) child.process.stdin.end();
    },
  };
}

function startChild(script: string, ended: () => void): Child {
  const child: Process = spawn(process.execPath, [script], {
    stdio: ["pipe", "pipe", "inherit"],
    cwd: "/",
    env: {},
  });
  let waiting: ((answer: ChildAnswer) => void) | undefined;
  const answer = (value: ChildAnswer) => {
    waiting?.(value);
    waiting = undefined;
  };
  const die = (message: string) => {
    ended();
    answer({ errno: "ECHILD", message });
  };
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      answer(JSON.parse(text.slice(0, end)) as ChildAnswer);
      text = text.slice(end + 1);
    }
  });
  child.once("exit", (code, signal) => die(`the kernel child ended: ${signal ?? code}`));
  child.once("error", ({ message }) => die(message));
  // A child that died while it was written to is told by its exit.
  child.stdin.on("error", () => undefined);
  keepAlive(child, false);
  return {
    process: child,
    async ask(request, payload) {
      keepAlive(child, true);
      const answered = new Promise<ChildAnswer>((resolve) => {
        waiting = resolve;
      });
      if (child.exitCode !== null || child.signalCode !== null) die("the kernel child is gone");
      child.stdin.write(frameLine({ request, bytes: payload?.length ?? 0 }));
      if (payload) child.stdin.write(payload);
      const result = await answered;
      keepAlive(child, false);
      if ("value" in result) return result.value;
      throw errorOf(result.errno, result.message);
    },
  };
}

/** A child that waits for work does not keep the agent alive. */
function keepAlive(child: Process, keep: boolean): void {
  const handles = [child, child.stdin, child.stdout];
  for (const handle of handles) {
    if (!(handle instanceof ChildProcess || handle instanceof Socket)) continue;
    if (keep) handle.ref();
    else handle.unref();
  }
}

function errorOf(code: string, message: string): KernelError {
  return Object.assign(new Error(message), { code });
}
