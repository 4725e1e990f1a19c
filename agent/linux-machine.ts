import { dirname, extname, join } from "node:path";
import type { Settings } from "./config.ts";
import type { CardTable } from "./drivers/pci-ids.ts";
import { realSleep } from "./host/deadline.ts";
import { linuxCardPort } from "./host/linux/card-port.ts";
import { kernelChildren } from "./host/linux/children.ts";
import { linuxSysfs } from "./host/linux/sysfs.ts";
import { linuxTools, toolPaths } from "./host/linux/tools.ts";
import type { PrPort } from "./host/pr-port.ts";
import type { SysfsPort } from "./host/sysfs-port.ts";
import { programUserBy, type Tools } from "./host/tools.ts";

/** This machine's kernel and vendors' tools, for a process that has the privilege to use them. */
export interface LinuxMachine {
  readonly port: SysfsPort;
  readonly pr: PrPort;
  readonly tools: Tools;
}

/** Opens this machine; `toolFolder` is private to this process. Starts a kernel child ahead. */
export function linuxMachine(settings: Settings, toolFolder: string): LinuxMachine {
  const children = kernelChildren({ script: siblingScript("kernel-child"), sleep: realSleep });
  const port = linuxSysfs({ root: "", children });
  const tools = linuxTools({ paths: { ...toolPaths, ...settings.tools }, folder: toolFolder });
  const pr = linuxCardPort({ port, children, programUser: programUserBy(tools) });
  return { port, pr, tools };
}

/** The operator's list in the form drivers look cards up in. */
export function listedCards({ cards }: Settings): CardTable {
  const entries = cards.map(({ match, driver, ...rest }) => {
    return [match, { ...rest, family: driver, listed: true }] as const;
  });
  return Object.fromEntries(entries);
}

/** A program beside this one: a source beside a source, a bundle beside a bundle. */
function siblingScript(name: string): string {
  const self = process.argv[1] ?? "";
  return join(dirname(self), `${name}${extname(self)}`);
}
