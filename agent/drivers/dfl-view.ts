import { parseLooseUuid } from "#protocol/images/uuid";
import { listIfThere, pciPath, readIfThere, vfsOf } from "../host/pci.ts";
import { isKernelError, type SysfsPort } from "../host/sysfs-port.ts";

/** One port of a DFL card, wherever it is. `id` is the hardware's number. */
export interface DflPort {
  readonly id: number;
  /** Its directory, while dfl-pci shows it on the PF or on a VF. */
  readonly path?: string;
  /** `/dev/dfl-port.N` */
  readonly node?: string;
  /** The VF that has it. */
  readonly vf?: { readonly index: number; readonly address: string };
}

/** A DFL card as sysfs shows it now. All numbers in its paths change with every bind. */
export interface DflView {
  /** `/dev/dfl-fme.N` */
  readonly engine: string;
  readonly manager: string | undefined;
  readonly interfaceId: string | undefined;
  readonly ports: readonly DflPort[];
  /** VFs the card can have; 0 without SR-IOV. */
  readonly maxVfs: number;
  /** No driver has the PF: all else is from memory. */
  readonly driverless?: true;
}

/** Reads a card from its PF (host.md §1.3). Throws when no management engine is there. */
export async function readDfl(port: SysfsPort, pf: string): Promise<DflView> {
  const { base, names } = await baseRegion(port, pf);
  const engine = names.find((name) => /^dfl-fme\.\d+$/.test(name));
  if (engine === undefined) throw new Error("no management engine: is dfl-pci bound to the PF?");
  const path = `${base}/${engine}`;
  const inside = await port.list(path);
  return {
    engine: `/dev/${engine}`,
    manager: await managerOf(port, path, inside),
    interfaceId: await interfaceOf(port, path, inside),
    maxVfs: countIn((await readIfThere(port, `${pciPath(pf)}/sriov_totalvfs`)) ?? "0"),
    ports: await portsOf(port, pf, {
      base,
      names,
      total: portCount(await port.read(`${path}/ports_num`)),
    }),
  };
}

/**
 * Number of ports a card says it has. Throws for more than the 4 that the privileged process can be
 * asked about (requests.ts): such a card is broken, and believing it would fill the memory.
 */
export function portCount(text: string): number {
  if (/^[0-4]$/.test(text)) return Number(text);
  throw new Error("ports_num makes no sense");
}

/** What is no number of VFs is none: VFs come by the operator's word only. */
function countIn(text: string): number {
  return /^\d{1,5}$/.test(text) ? Number(text) : 0;
}

async function baseRegion(port: SysfsPort, address: string) {
  const folder = `${pciPath(address)}/fpga_region`;
  const [region] = await listIfThere(port, folder);
  const base = `${folder}/${region}`;
  return { base, names: region === undefined ? [] : await listIfThere(port, base) };
}

async function managerOf(port: SysfsPort, path: string, names: readonly string[]) {
  const manager = names.find((name) => name.startsWith("dfl-fme-mgr."));
  if (manager === undefined) return undefined;
  const folder = `${path}/${manager}/fpga_manager`;
  const [name] = await listIfThere(port, folder);
  return name === undefined ? undefined : `${folder}/${name}`;
}

/** All regions of one engine carry one id: the first that can be read will do (host.md §1.3). */
async function interfaceOf(port: SysfsPort, path: string, names: readonly string[]) {
  for (const name of names.filter((one) => one.startsWith("dfl-fme-region."))) {
    const folder = `${path}/${name}/fpga_region`;
    for (const region of await listIfThere(port, folder)) {
      const id = parseLooseUuid((await readIfThere(port, `${folder}/${region}/compat_id`)) ?? "");
      if (id !== undefined) return id;
    }
  }
  return undefined;
}

interface Base {
  readonly base: string;
  readonly names: readonly string[];
  readonly total: number;
}

async function portsOf(port: SysfsPort, pf: string, base: Base): Promise<readonly DflPort[]> {
  const onPf = await shownPorts(port, base);
  const found = new Map<number, DflPort>(onPf.map((one) => [one.id, one]));
  const hidden: NonNullable<DflPort["vf"]>[] = [];
  for (const [index, address] of await vfsOf(port, pf)) {
    const [shown] = await shownPorts(port, await baseRegion(port, address));
    if (shown) found.set(shown.id, { ...shown, vf: { index, address } });
    else hidden.push({ index, address });
  }
  // A VF without dfl-pci shows no port; the ports that are nowhere else went to them in order.
  return Array.from({ length: base.total }, (_, id): DflPort => {
    const known = found.get(id);
    const vf = known ? undefined : hidden.shift();
    return known ?? { id, ...(vf && { vf }) };
  });
}

async function shownPorts(port: SysfsPort, { base, names }: Pick<Base, "base" | "names">) {
  const ports: DflPort[] = [];
  for (const name of names.filter((one) => /^dfl-port\.\d+$/.test(one))) {
    const id = await readIfThere(port, `${base}/${name}/id`);
    if (id !== undefined) {
      ports.push({ id: Number(id), path: `${base}/${name}`, node: `/dev/${name}` });
    }
  }
  return ports;
}

/** What a port answers: its function, that it is held in reset, or nothing. */
export type PortAnswer =
  | { readonly kind: "function"; readonly id: string | undefined }
  | { readonly kind: "running" | "stuck" | "unbound" | "hidden" | "driverless" };

/** Asks a port for its function; EBUSY means reset, during a program or after a failed one. */
export async function askPort(
  port: SysfsPort,
  view: DflView,
  { path }: DflPort,
): Promise<PortAnswer> {
  if (path === undefined) return { kind: view.driverless ? "driverless" : "hidden" };
  try {
    return { kind: "function", id: parseLooseUuid(await port.read(`${path}/afu_id`)) };
  } catch (error) {
    if (isKernelError(error, "ENOENT")) return { kind: "unbound" };
    if (!isKernelError(error, "EBUSY")) throw error;
    const state = view.manager && (await readIfThere(port, `${view.manager}/state`));
    const running = state !== undefined && /^write( init| complete)?$/.test(state);
    return { kind: running ? "running" : "stuck" };
  }
}
