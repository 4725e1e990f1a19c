import * as z from "zod/mini";
import { Fault } from "#domain/faults";
import { deployableId, uuidOf } from "#protocol/uuid";
import type { Health, Loaded } from "#protocol/wire/shapes";
import { listIfThere, pciPath, readIfThere } from "../host/pci.ts";
import { kernelError, type SysfsPort } from "../host/sysfs-port.ts";
import { isOnVfio } from "../host/vfio-groups.ts";
import {
  type CardContext,
  type CardFamily,
  deviceOf,
  handleAt,
  loadedOf,
  loadedPart,
  pcieHealth,
} from "./card-family.ts";
import type { DiscoveryProblem, Place } from "./driver.ts";
import { scrubPart } from "./scrub-method.ts";

const region = "card";
const managerClass = "/sys/class/fpga_manager";

/** `flags` for a whole image; 1 would be a partial one (host.md §2.4). */
const fullImage = "0";

/**
 * PCI cards behind the kernel's FPGA manager with the vendors' `firmware` attribute, such as Intel's
 * configuration via protocol (host.md §2.4). The manager takes anything and never says what it took,
 * so what was loaded is a note of ours: void after a reboot, and whenever the manager says that it is
 * not operating.
 */
export const fpgaManager: CardFamily = {
  name: "fpga-manager",
  formats: ["raw"],
  recognises: ({ names, known, remembered }) =>
    names.includes("fpga_manager") || [known?.family, remembered].includes("fpga-manager"),
  async describe(context, card) {
    const { address, vendor, device } = card.pci;
    const takesFirmware = await canProgram(context, card.cardId, address);
    const interfaceId = takesFirmware ? shellOf(vendor, device) : undefined;
    const handles = [await handleAt(context.port, { name: "pf", type: "PF", address })];
    const deployable = {
      id: deployableId(context.hostId, card.cardId, region),
      region,
      ...(interfaceId !== undefined && { interfaceId }),
      programmable: takesFirmware,
      sharing: "none" as const,
      ...loadedPart(await loadedAt(context, card.cardId, address)),
      health: await healthAt(context.port, address),
      ...(await scrubPart(context, { interfaceId, handles })),
    };
    return deviceOf(context, card, {
      driver: "fpga-manager",
      layout: "whole",
      deployables: [deployable],
    });
  },
  loaded: (context, { device }) => loadedAt(context, device.cardId, device.address),
  health: ({ port }, { device }) => healthAt(port, device.address),
  interfaceId: async (_, { device, deployable }) =>
    deployable.programmable ? shellOf(device.pciVendor, device.pciDevice) : undefined,
  async requireIdle() {
    // The one handle's holders are asked for every family, and the manager has no node to open.
  },
  async repair() {
    // A manager that failed takes the next image as any other.
  },
  async send(context, place, { bytes, functionId }, progress) {
    const manager = await managerAt(context.port, place.device.address);
    if (manager === undefined)
      throw kernelError("ENODEV", `the manager of ${place.device.address}`);
    const boot = await bootIdOf(context.port);
    // A kill in between must not leave the note of what was there before.
    note(context, place.device.cardId, { boot, functionId: null });
    await write(context, place, manager, bytes);
    note(context, place.device.cardId, { boot, functionId });
    progress(100);
  },
  async complaint({ port }, { device }) {
    const manager = await managerAt(port, device.address);
    return manager === undefined ? "" : port.read(`${manager}/status`);
  },
  strays,
};

/** What fits a card nobody can read out of it: its PCI ids stand for the shell. */
function shellOf(vendor: string, device: string): string {
  return uuidOf("fpga-manager", vendor, device);
}

/** Directory of the card's manager; undefined without its driver. */
async function managerAt(port: SysfsPort, address: string): Promise<string | undefined> {
  const folder = `${pciPath(address)}/fpga_manager`;
  const [name] = await listIfThere(port, folder);
  return name === undefined ? undefined : `${folder}/${name}`;
}

/** Upstream managers have no `firmware`. While a guest has the PF, what was so before counts. */
async function canProgram(context: CardContext, cardId: string, address: string) {
  const manager = await managerAt(context.port, address);
  if (manager === undefined) {
    if (await isOnVfio(context.port, address)) return recall(context, cardId) !== undefined;
    throw new Error("no FPGA manager: is its driver bound?");
  }
  const takes = await context.port.exists(`${manager}/firmware`);
  if (takes && recall(context, cardId) === undefined) {
    note(context, cardId, { boot: await bootIdOf(context.port), functionId: null });
  }
  return takes;
}

const noteSchema = z.object({ boot: z.string(), functionId: z.nullable(z.string()) });
type Note = z.infer<typeof noteSchema>;

function recall(context: CardContext, cardId: string): Note | undefined {
  return noteSchema.safeParse(context.memory.recall(cardId)).data;
}

function note(context: CardContext, cardId: string, what: Note): void {
  context.memory.remember(cardId, { family: "fpga-manager", ...what });
}

function bootIdOf(port: SysfsPort): Promise<string> {
  return port.read("/proc/sys/kernel/random/boot_id");
}

/** Undefined while a guest has the PF; null for what nobody noted. */
async function loadedAt(
  context: CardContext,
  cardId: string,
  address: string,
): Promise<Loaded | undefined> {
  const manager = await managerAt(context.port, address);
  if (manager === undefined) return undefined;
  const noted = recall(context, cardId);
  const operating = (await readIfThere(context.port, `${manager}/state`)) === "operating";
  const current = operating && noted?.boot === (await bootIdOf(context.port));
  return loadedOf(context, (current ? noted.functionId : null) ?? undefined);
}

async function healthAt(port: SysfsPort, address: string): Promise<Health> {
  const manager = await managerAt(port, address);
  const state = manager && (await readIfThere(port, `${manager}/state`));
  if (state?.endsWith(" error")) {
    return { state: "degraded", reason: `the FPGA manager says: ${state}` };
  }
  return pcieHealth(port, address);
}

/** The write of the name returns when the image is in; then the manager has to be operating. */
async function write(context: CardContext, place: Place, manager: string, bytes: Buffer) {
  const { firmware, port, writeDeadlineMs } = context;
  await firmware.lend(place.device.address, bytes, async (name) => {
    await port.write(`${manager}/flags`, fullImage, writeDeadlineMs);
    await port.write(`${manager}/firmware`, name, writeDeadlineMs);
  });
  const state = await port.read(`${manager}/state`);
  if (state === "operating") return;
  throw new Fault("PROGRAM_FAILED", `The FPGA manager says: ${state}`, { state });
}

/** Managers of chips that are no PCI function have nothing that could go to a guest. */
async function strays({ port }: CardContext): Promise<readonly DiscoveryProblem[]> {
  const found: DiscoveryProblem[] = [];
  for (const name of await listIfThere(port, managerClass)) {
    const target = await port.readlink(`${managerClass}/${name}`).catch(() => "/pci");
    if (/\/pci[0-9a-f]+:/.test(target) || target === "/pci") continue;
    const reason = "an FPGA manager of a platform device: only PCI functions can be handed out";
    found.push({ address: name, reason });
  }
  return found;
}
