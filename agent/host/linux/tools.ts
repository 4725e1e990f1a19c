import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { parseAfiSlots, slotNumbers } from "../afi-slots.ts";
import { realSleep, type Sleep } from "../deadline.ts";
import { privateFolder } from "../files.ts";
import { handOver, sha256Of } from "../handed-file.ts";
import { isKernelError, kernelError } from "../sysfs-port.ts";
import {
  clearAfiCall,
  configureCall,
  describeAfiCall,
  describeSlotsCall,
  type FileCall,
  loadAfiCall,
  programUserCall,
  resetUserCall,
  type ToolCall,
  type ToolResult,
} from "../tool-calls.ts";
import { missing, type ToolName, type Tools } from "../tools.ts";
import { Turns } from "./turns.ts";

/** Where tools are and how long they may take. */
export interface LinuxToolsOptions {
  /** Absolute paths; {@link toolPaths} has the usual ones. */
  readonly paths: Readonly<Record<ToolName, string>>;
  /** Private folder for the files that tools read; made when missing. */
  readonly folder: string;
  /** Bound of a call that changes a card, ms; below every caller's own deadline. */
  readonly changeMs?: number;
  /** Bound of a call that only reads, ms. */
  readonly readMs?: number;
  readonly sleep?: Sleep;
}

interface Run {
  readonly path: string;
  readonly args: readonly string[];
  readonly ms: number;
  readonly sleep: Sleep;
}

/** Where the vendors' packages put their programs. */
export const toolPaths: Readonly<Record<ToolName, string>> = {
  fpgaconf: "/usr/bin/fpgaconf",
  xbmgmt: "/opt/xilinx/xrt/bin/xbmgmt",
  xbutil: "/opt/xilinx/xrt/bin/xbutil",
  "fpga-load-local-image": "/usr/bin/fpga-load-local-image",
  "fpga-clear-local-image": "/usr/bin/fpga-clear-local-image",
  "fpga-describe-local-image-slots": "/usr/bin/fpga-describe-local-image-slots",
  "fpga-describe-local-image": "/usr/bin/fpga-describe-local-image",
};

/** Some of the programs are shell scripts round others, so they need a path; nothing else. */
const environment = {
  LC_ALL: "C",
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
};

/** What is kept of each stream; a tool that says more is not stopped for it. */
const keptBytes = 64 * 1024;

/**
 * This machine's tools. A call that exceeds its bound is killed with all its children: if that ends
 * them it rejects with ETIMEDOUT, and if they are in the kernel it never returns, and nothing else
 * is run on the card.
 */
export function linuxTools(options: LinuxToolsOptions): Tools {
  const turns = new Turns();
  const run = (call: ToolCall) =>
    turns.take(call.key, call.reads === true, () => perform(options, call));
  const runFile = ({ argsFor, extension, ...call }: FileCall, file: Buffer) =>
    turns.take(call.key, false, () =>
      inFolder(options.folder, (folder) => {
        const name = `${sha256Of(file)}.${extension}`;
        const use = (path: string) => perform(options, { ...call, args: argsFor(path) });
        return handOver({ folder, name, bytes: file }, use);
      }),
    );
  return {
    has: (tool) => isExecutable(options.paths[tool]),
    configure: async (address, file) => void (await runFile(configureCall(address), file)),
    programUser: async (address, file) => void (await runFile(programUserCall(address), file)),
    resetUser: async (user) => void (await run(resetUserCall(user))),
    async describeAfis() {
      const texts = [await run(describeSlotsCall)];
      for (const slot of slotNumbers(texts.join("\n")))
        texts.push(await run(describeAfiCall(slot)));
      return parseAfiSlots(texts.join("\n"));
    },
    loadAfi: async (slot, agfi) => void (await run(loadAfiCall(slot, agfi))),
    clearAfi: async (slot) => void (await run(clearAfiCall(slot))),
  };
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Two cards may get the same image at the same time: each call has a folder of its own. */
async function inFolder<T>(parent: string, use: (folder: string) => Promise<T>): Promise<T> {
  await privateFolder(parent);
  const folder = await mkdtemp(join(parent, "call-"));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a program to its end and returns what it wrote. */
async function perform(options: LinuxToolsOptions, call: ToolCall): Promise<string> {
  const run = {
    path: options.paths[call.tool],
    args: call.args,
    ms: call.reads ? (options.readMs ?? 10_000) : (options.changeMs ?? 100_000),
    sleep: options.sleep ?? realSleep,
  };
  const result = await execute(run).catch((error: unknown) => {
    if (isKernelError(error, "ENOENT", "EACCES", "ENOEXEC")) return missing(call.tool);
    throw error;
  });
  const fault = call.fault(result);
  if (fault) throw fault;
  return result.stdout;
}

/**
 * Resolves when the program and whatever it started have closed their output. They are a process
 * group of their own, so that a wrapper script is not all that a kill ends.
 */
function execute({ path, args, ms, sleep }: Run): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, {
      cwd: "/",
      env: environment,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const stdout = gather(child.stdout);
    const stderr = gather(child.stderr);
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

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // It ended by itself in this moment.
    if (!isKernelError(error, "ESRCH")) throw error;
  }
}

/** Keeps the start of a stream and lets the rest pass, so that the program never waits for us. */
function gather(stream: Readable): () => string {
  const kept: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    if (bytes < keptBytes) kept.push(chunk.subarray(0, keptBytes - bytes));
    bytes += chunk.length;
  });
  return () => Buffer.concat(kept).toString();
}
