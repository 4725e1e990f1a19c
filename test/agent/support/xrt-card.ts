import { readFile } from "node:fs/promises";
import { readImageHeader } from "#protocol/images/header";
import type { Sleep } from "../../../agent/host/deadline.ts";
import { type AlveoDescription, alveoCard } from "../../../agent/host/memory-kernel/cards.ts";
import type { MemoryKernel } from "../../../agent/host/memory-kernel/kernel.ts";
import { bench, devices } from "../kernels.ts";
import type { ToolEnd, ToolStart } from "./fake-tools.ts";

export const xrtShell = alveoCard(0).interfaceId;

export interface XrtCard {
  readonly kernel: MemoryKernel;
  readonly sleep: Sleep;
  readonly cardId: string;
  /** Every command line so far. */
  readonly commands: string[];
  /** What xbmgmt and xbutil do: exit 0, or 1 for any error (host.md §2.4). */
  readonly tool: (start: ToolStart) => Promise<ToolEnd>;
}

/** An Alveo card that is programmed and reset by XRT's tools. */
export function xrtCard(changes: Partial<AlveoDescription> = {}): XrtCard {
  const { kernel, sleep, ids } = bench([alveoCard(0, changes)], { opaque: true });
  const commands: string[] = [];
  const after = (args: readonly string[], flag: string) => args[args.indexOf(flag) + 1] ?? "";
  const perform = async (args: readonly string[]) => {
    const device = after(args, "--device");
    if (args.includes("reset")) {
      // The tool is given the user function and resets the card.
      await kernel.write(`${devices}/${device.replace(/1$/, "0")}/reset`, "1", 1000);
      return;
    }
    const bytes = await readFile(after(args, "--user"));
    const header = readImageHeader(bytes, bytes.length);
    if (header.format !== "xclbin") throw new Error("not an xclbin");
    const { functionId, interfaceId } = header;
    const image = { bytes, functionId, ...(interfaceId !== undefined && { interfaceId }) };
    await kernel.programUser(device, image, () => undefined);
  };
  return {
    kernel,
    sleep,
    cardId: ids[0] ?? "",
    commands,
    async tool({ tool, args }) {
      commands.push([tool, ...args].join(" "));
      return perform(args).then(
        () => ({}),
        (error: unknown) => ({ code: 1, stderr: `ERROR: ${String(error)}` }),
      );
    },
  };
}
