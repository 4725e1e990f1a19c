import { Fault, type FaultCode } from "#domain/faults";
import { isAgfi } from "#protocol/images/afi";
import { addressParts } from "./pci.ts";
import type { ToolName } from "./tools.ts";

/** How a program ended; `code` is null when a signal ended it. */
export interface ToolResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One program with its arguments, and what its end means. */
export interface ToolCall {
  readonly tool: ToolName;
  readonly args: readonly string[];
  /** Calls with one key never run at the same time. */
  readonly key: string;
  /** Changes nothing, so that it can be killed and nothing waits for it. */
  readonly reads?: true;
  /** The error that a result means; undefined when it went well. */
  readonly fault: (result: ToolResult) => Fault | undefined;
}

/** A call whose bitstream comes as a file, under a path that the one who runs it chooses. */
export interface FileCall extends Omit<ToolCall, "args"> {
  readonly extension: "gbs" | "xclbin";
  readonly argsFor: (path: string) => readonly string[];
}

/** AWS's tools share one mailbox driver and rescan the bus: one at a time on a whole host. */
const awsKey = "aws";

/** `fpgaconf` with the whole address: without the segment it takes domain 0 (host.md §2.3). */
export function configureCall(address: string): FileCall {
  const { domain, bus, slot, function: fn } = addressParts(address);
  const where = ["-S", `0x${domain}`, "-B", `0x${bus}`, "-D", `0x${slot}`, "-F", `0x${fn}`];
  return {
    tool: "fpgaconf",
    key: cardKey(address),
    extension: "gbs",
    argsFor: (path) => [...where, path],
    fault: fpgaconfFault,
  };
}

/** Asks nobody: there is nobody to answer. */
const xrtFlags = ["--batch", "--force"] as const;

/** `xbmgmt program --user`; never `--base`, `--shell` or `--revert-to-golden` (host.md §2.4). */
export function programUserCall(management: string): FileCall {
  return {
    tool: "xbmgmt",
    key: cardKey(management),
    extension: "xclbin",
    argsFor: (path) => [...xrtFlags, "program", "--device", management, "--user", path],
    fault: (result) => failed("PROGRAM_FAILED", "xbmgmt program", result),
  };
}

/** `xbutil reset`: brings back a card that went offline (host.md §2.5f). */
export function resetUserCall(user: string): ToolCall {
  return {
    tool: "xbutil",
    key: cardKey(user),
    args: [...xrtFlags, "reset", "--device", user],
    fault: (result) => failed("CARD_DEGRADED", "xbutil reset", result),
  };
}

/** Which slots there are, and where. */
export const describeSlotsCall: ToolCall = {
  tool: "fpga-describe-local-image-slots",
  key: awsKey,
  args: [],
  reads: true,
  fault: (result) => failed("CARD_DEGRADED", "fpga-describe-local-image-slots", result),
};

/** What one slot has. */
export function describeAfiCall(slot: number): ToolCall {
  return {
    tool: "fpga-describe-local-image",
    key: awsKey,
    args: ["-S", slotText(slot)],
    reads: true,
    fault: (result) => failed("CARD_DEGRADED", "fpga-describe-local-image", result),
  };
}

export function loadAfiCall(slot: number, agfi: string): ToolCall {
  if (!isAgfi(agfi)) {
    throw new Fault("INVALID_REQUEST", "Not an AGFI", { field: "agfi", expected: "agfi-…" });
  }
  const args = ["-S", slotText(slot), "-I", agfi];
  return { tool: "fpga-load-local-image", key: awsKey, args, fault: afiFault };
}

export function clearAfiCall(slot: number): ToolCall {
  const args = ["-S", slotText(slot)];
  return { tool: "fpga-clear-local-image", key: awsKey, args, fault: afiFault };
}

function slotText(slot: number): string {
  if (Number.isInteger(slot) && slot >= 0 && slot <= 7) return String(slot);
  throw new Fault("INVALID_REQUEST", "Not an FPGA slot", { field: "slot", expected: "0 to 7" });
}

/** A card without its function number: its functions cannot be worked on apart. */
function cardKey(address: string): string {
  addressParts(address);
  return address.slice(0, -2);
}

/** What fpgaconf's exit codes say, one to one (host.md §2.3); any other is a failed program. */
const fpgaconfExits: ReadonlyMap<number | null, readonly [FaultCode, string]> = new Map([
  [2, ["IMAGE_HEADER_INVALID", "fpgaconf cannot read the image"]],
  [3, ["CARD_DEGRADED", "fpgaconf cannot list the cards"]],
  [4, ["IMAGE_INCOMPATIBLE", "fpgaconf finds no card that fits the image"]],
]);

function fpgaconfFault(result: ToolResult): Fault | undefined {
  if (result.code === 0) return undefined;
  const [code, what] = fpgaconfExits.get(result.code) ?? ["PROGRAM_FAILED", "fpgaconf failed"];
  return told(code, what, result);
}

function failed(code: FaultCode, what: string, result: ToolResult): Fault | undefined {
  return result.code === 0 ? undefined : told(code, `${what} failed`, result);
}

/** Enough of a tool's own words to work with, in one line. */
function told(code: FaultCode, what: string, { code: exit, stdout, stderr }: ToolResult): Fault {
  const said = (stderr.trim() || stdout.trim()).split("\n").at(-1) ?? "";
  return new Fault(code, said === "" ? what : `${what}: ${said.slice(0, 300)}`, { exit });
}

/**
 * AWS's error numbers, one to one (host.md §1.6). What is not named here is PROGRAM_FAILED: the
 * load went wrong, and clearing the slot is the cure.
 */
const afiFaults: ReadonlyMap<number, FaultCode> = new Map([
  [3, "IN_USE"],
  [5, "IMAGE_INCOMPATIBLE"],
  [6, "PROGRAM_TIMEOUT"],
  [12, "READ_BACK_MISMATCH"],
  [16, "IMAGE_INCOMPATIBLE"],
  [19, "IN_USE"],
  [20, "CARD_DEGRADED"],
  [25, "CARD_DEGRADED"],
]);

/** What helps when no command inside the instance does (host.md §2.5e). */
export const awsCure = "stop and start the instance";

/** The error behind one of AWS's numbers; undefined for 0. `name` is the tool's own word for it. */
export function afiError(number: number, name: string): Fault | undefined {
  if (number === 0) return undefined;
  const code = afiFaults.get(number) ?? "PROGRAM_FAILED";
  const cure = code === "CARD_DEGRADED" ? `: ${awsCure}` : "";
  return new Fault(code, `The FPGA answered ${name} (${number})${cure}`, { awsError: number });
}

/** `Error: (20) pci-device-missing` in the tool's words, or its exit code alone. */
function afiFault(result: ToolResult): Fault | undefined {
  if (result.code === 0) return undefined;
  const words = `${result.stderr}\n${result.stdout}`;
  const [, number = "0", name = ""] = /Error: \((\d{1,3})\) ([\w-]+)/.exec(words) ?? [];
  return afiError(Number(number), name) ?? told("PROGRAM_FAILED", "The AFI tool failed", result);
}
