import { constants } from "node:fs";
import { access, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afiSlot, slotAt } from "../afi-slots.ts";
import { realSleep, type Sleep } from "../deadline.ts";
import { privateFolder } from "../files.ts";
import { folderFault, handOver, sha256Of } from "../handed-file.ts";
import { isKernelError } from "../sysfs-port.ts";
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
} from "../tool-calls.ts";
import { missing, type ToolName, type Tools } from "../tools.ts";
import { runProgram } from "./run-program.ts";
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
  /** How a program is run; as a process by default. */
  readonly run?: typeof runProgram;
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

/**
 * This machine's tools. A call that exceeds its bound is killed with all its children: if that ends
 * them it rejects with ETIMEDOUT, and if they are in the kernel it never returns, and nothing else
 * is run on the card.
 */
export function linuxTools(options: LinuxToolsOptions): Tools {
  const turns = new Turns();
  const parent = privateParent(options.folder);
  const run = (call: ToolCall) =>
    turns.take(call.key, call.reads === true, () => perform(options, call));
  const runFile = ({ argsFor, extension, ...call }: FileCall, file: Buffer) =>
    turns.take(call.key, false, () =>
      inFolder(parent, (folder) => {
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
    async describeAfi(address) {
      const slot = slotAt(await run(describeSlotsCall), address);
      return slot === undefined ? undefined : afiSlot(await run(describeAfiCall(slot)), slot);
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

/** Makes the folder when it is first needed, and takes out what a killed agent left there. */
function privateParent(folder: string): () => Promise<string> {
  let ready: Promise<string> | undefined;
  const prepare = async () => {
    await privateFolder(folder);
    for (const name of await readdir(folder)) {
      await rm(join(folder, name), { recursive: true, force: true });
    }
    return folder;
  };
  return () => {
    ready ??= prepare().catch((error: unknown) => {
      ready = undefined;
      throw folderFault(error, folder);
    });
    return ready;
  };
}

/** Two cards may get the same image at the same time: each call has a folder of its own. */
async function inFolder<T>(
  parent: () => Promise<string>,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const home = await parent();
  const folder = await mkdtemp(join(home, "call-")).catch((error: unknown) => {
    throw folderFault(error, home);
  });
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
  const result = await (options.run ?? runProgram)(run).catch((error: unknown) => {
    if (isKernelError(error, "ENOENT", "EACCES", "ENOEXEC")) return missing(call.tool);
    throw error;
  });
  const fault = call.fault(result);
  if (fault) throw fault;
  return result.stdout;
}
