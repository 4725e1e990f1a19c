import type { PrPort } from "../pr-port.ts";
import { kernelError, type SysfsPort } from "../sysfs-port.ts";
import type { KernelChildren } from "./children.ts";

/** Where the kernel links its platform devices, the parts of a DFL card among them (host.md §1.3). */
const platformDevices = "/sys/bus/platform/devices";

export interface CardPortOptions {
  readonly port: SysfsPort;
  readonly children: KernelChildren;
  /** What xbmgmt does; ENOENT on a host without it. */
  readonly programUser?: PrPort["programUser"];
}

/** Programs this machine's cards: the DFL ioctl in a child, vendors' tools for what needs them. */
export function linuxCardPort({ port, children, programUser }: CardPortOptions): PrPort {
  return {
    async programPort(engine, portId, image, progress) {
      const node = await portNode(port, engineName(engine), portId);
      const request = { verb: "program", engine, port: portId, ...(node && { node }) } as const;
      await children.call(request, { payload: image.bytes });
      progress(100);
    },
    async releasePort(engine, portId) {
      engineName(engine);
      await children.call({ verb: "release", engine, port: portId });
    },
    async assignPort(engine, portId) {
      engineName(engine);
      await children.call({ verb: "assign", engine, port: portId });
    },
    programUser:
      programUser ??
      (async () => {
        throw kernelError("ENOENT", "xbmgmt");
      }),
  };
}

function engineName(engine: string): string {
  const name = /^\/dev\/(dfl-fme\.\d+)$/.exec(engine)?.[1];
  if (name === undefined) throw kernelError("EINVAL", engine);
  return name;
}

/**
 * The node of an engine's port, found again right before it is programmed: numbers in its name
 * change with every bind. Undefined for a port that a VF has.
 */
async function portNode(
  port: SysfsPort,
  engine: string,
  portId: number,
): Promise<string | undefined> {
  const target = await port.readlink(`${platformDevices}/${engine}`);
  const region = `${platformDevices}/${target}/..`;
  for (const name of await port.list(region)) {
    if (!/^dfl-port\.\d+$/.test(name)) continue;
    if (Number(await port.read(`${region}/${name}/id`)) === portId) return `/dev/${name}`;
  }
  return undefined;
}
