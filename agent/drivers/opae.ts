import * as z from "zod/mini";
import { Fault } from "#domain/faults";
import { parseLooseUuid } from "#protocol/images/uuid";
import { deployableId } from "#protocol/uuid";
import type { InventoryDeployable, InventoryHandle } from "#protocol/wire/inventory";
import type { Health, Loaded } from "#protocol/wire/shapes";
import { listIfThere, pciPath, readIfThere, vfsOf } from "../host/pci.ts";
import { isKernelError, named, type SysfsPort } from "../host/sysfs-port.ts";
import { isOnVfio } from "../host/vfio-groups.ts";
import {
  type CardContext,
  type CardFamily,
  deviceOf,
  type FoundCard,
  handleAt,
  loadedOf,
  loadedPart,
  pcieHealth,
} from "./card-family.ts";
import { portCount } from "./dfl-view.ts";
import type { Place } from "./driver.ts";
import { scrubPart } from "./scrub-method.ts";

/** fpgaconf programs this port and no other (host.md §2.2). */
const tooledPort = 0;

/** One port as the PF shows it; released ports are with their VFs, out of the tool's reach. */
interface Port {
  readonly id: number;
  readonly path: string;
  /** `/dev/intel-fpga-port.N` */
  readonly node: string;
}

interface View {
  readonly interfaceId: string | undefined;
  /** How many ports the management engine has, shown or not. */
  readonly total: number;
  readonly shown: readonly Port[];
}

/**
 * Intel's cards with the old out-of-tree driver (host.md §1.4), programmed by `fpgaconf`. A card of
 * one port is offered whole while it has no VF. `fpgasupdate` is not used: for a GBS it calls
 * fpgaconf, and for everything else it writes flash.
 */
export const opae: CardFamily = {
  name: "opae",
  formats: ["gbs"],
  recognises: ({ names, remembered }) =>
    names.includes("fpga") || (remembered === "opae" && !names.includes("fpga_region")),
  async describe(context, card) {
    const view = await viewOf(context, card.cardId, card.pci.address);
    const canProgram = await context.tools.has("fpgaconf");
    const vfs = await vfsOf(context.port, card.pci.address);
    const ids = Array.from({ length: view.total }, (_, id) => id);
    const deployables = await Promise.all(
      ids.map((id) => describePort(context, { card, view, id, vfs, canProgram })),
    );
    const layout = isWhole(view, vfs) ? "whole" : "regions";
    return deviceOf(context, card, { driver: "opae", layout, deployables });
  },
  async loaded(context, place) {
    return loadedBy(context, portAt(await viewAt(context, place), place));
  },
  async health(context, place) {
    return healthBy(context, place.device.address, portAt(await viewAt(context, place), place));
  },
  async interfaceId(context, place) {
    return place.deployable.programmable ? (await viewAt(context, place)).interfaceId : undefined;
  },
  async requireIdle(context, place) {
    const port = portAt(await viewAt(context, place), place);
    const [holder] = port === undefined ? [] : await context.port.holders(port.node);
    if (holder) throw new Fault("IN_USE", `${port?.node} is open by ${named(holder)}`, { holder });
  },
  async repair() {
    // fpgaconf clears the port's errors itself (host.md §2.7).
  },
  async send(context, place, { bytes, file }, progress) {
    await context.tools.configure(place.device.address, file ?? bytes);
    progress(100);
  },
  complaint: async () => "",
};

const factsSchema = z.object({ interfaceId: z.optional(z.string()) });

function viewAt(context: CardContext, { device }: Place): Promise<View> {
  return viewOf(context, device.cardId, device.address);
}

/** The card as its driver shows it; from memory while a guest has the PF and nothing is shown. */
async function viewOf(context: CardContext, cardId: string, pf: string): Promise<View> {
  if (!(await isOnVfio(context.port, pf))) {
    const view = await readView(context.port, pf);
    const { interfaceId } = view;
    context.memory.remember(cardId, { family: "opae", interfaceId });
    return view;
  }
  const facts = factsSchema.safeParse(context.memory.recall(cardId));
  return { interfaceId: facts.data?.interfaceId, total: 1, shown: [] };
}

async function readView(port: SysfsPort, pf: string): Promise<View> {
  const folder = `${pciPath(pf)}/fpga`;
  const device = (await listIfThere(port, folder)).find((one) => /^intel-fpga-dev\.\d+$/.test(one));
  const base = `${folder}/${device}`;
  const names = device === undefined ? [] : await port.list(base);
  const engine = names.find((name) => /^intel-fpga-fme\.\d+$/.test(name));
  if (engine === undefined) throw new Error("no management engine: is its driver bound to the PF?");
  const id = await readIfThere(port, `${base}/${engine}/pr/interface_id`);
  return {
    interfaceId: parseLooseUuid(id ?? ""),
    total: portCount(await port.read(`${base}/${engine}/ports_num`)),
    shown: await portsIn(port, base, names),
  };
}

async function portsIn(port: SysfsPort, base: string, names: readonly string[]) {
  const ports: Port[] = [];
  for (const name of names.filter((one) => /^intel-fpga-port\.\d+$/.test(one))) {
    const id = Number(await port.read(`${base}/${name}/id`));
    ports.push({ id, path: `${base}/${name}`, node: `/dev/${name}` });
  }
  return ports;
}

const regionKey = (id: number): string => `port${id}`;

function portAt({ shown }: View, { deployable }: Place): Port | undefined {
  return shown.find(({ id }) => regionKey(id) === deployable.region);
}

type Vfs = ReadonlyMap<number, string>;

/** One port and no VF that could have it: then whoever gets the card gets the PF. */
function isWhole({ total }: View, vfs: Vfs): boolean {
  return total === 1 && vfs.size === 0;
}

interface Described {
  readonly card: FoundCard;
  readonly view: View;
  readonly id: number;
  readonly vfs: Vfs;
  readonly canProgram: boolean;
}

async function describePort(
  context: CardContext,
  described: Described,
): Promise<InventoryDeployable> {
  const { card, view, id, vfs, canProgram } = described;
  const port = view.shown.find((one) => one.id === id);
  const inReach = port !== undefined || isWhole(view, vfs);
  const programmable = canProgram && inReach && id === tooledPort && view.interfaceId !== undefined;
  const interfaceId = programmable ? view.interfaceId : undefined;
  const handles = [await handleOf(context.port, described)];
  return {
    id: deployableId(context.hostId, card.cardId, regionKey(id)),
    region: regionKey(id),
    ...(interfaceId !== undefined && { interfaceId }),
    programmable,
    sharing: "none",
    ...loadedPart(await loadedBy(context, port)),
    health: await healthBy(context, card.pci.address, port),
    ...(await scrubPart(context, { interfaceId, handles })),
  };
}

/** Released ports went to the VFs in order (host.md §3.4). */
async function handleOf(port: SysfsPort, described: Described): Promise<InventoryHandle> {
  const { card, view, id, vfs } = described;
  const pf = card.pci.address;
  if (isWhole(view, vfs)) return handleAt(port, { name: "pf", type: "PF", address: pf });
  const isShown = (one: number) => view.shown.some((shown) => shown.id === one);
  const released = Array.from({ length: id }, (_, one) => one).filter((one) => !isShown(one));
  const address = isShown(id) ? undefined : vfs.get(released.length);
  if (address !== undefined) {
    return handleAt(port, { name: `vf${released.length}`, type: "VF", address });
  }
  const reason = "the port shares the PF with others and has no VF";
  return { name: regionKey(id), type: "PF", address: pf, attachable: false, reason };
}

/** Undefined while a guest has the port: then only the card itself could say. */
async function loadedBy(context: CardContext, port: Port | undefined): Promise<Loaded | undefined> {
  if (port === undefined) return undefined;
  const id = await functionOf(context.port, port);
  return id === "busy" ? loadedOf(context, undefined) : loadedOf(context, parseLooseUuid(id));
}

/** EBUSY means that the port is held in reset, during a program or after a failed one. */
async function functionOf(kernel: SysfsPort, { path }: Port): Promise<string> {
  try {
    return await kernel.read(`${path}/afu_id`);
  } catch (error) {
    if (isKernelError(error, "EBUSY")) return "busy";
    throw error;
  }
}

async function healthBy(
  { port: kernel }: CardContext,
  pf: string,
  port: Port | undefined,
): Promise<Health> {
  const held = port !== undefined && (await functionOf(kernel, port)) === "busy";
  if (held) return { state: "degraded", reason: "the port is held in reset" };
  return pcieHealth(kernel, pf);
}
