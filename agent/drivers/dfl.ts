import { Fault } from "#domain/faults";
import { deployableId } from "#protocol/uuid";
import type { InventoryDeployable, InventoryHandle } from "#protocol/wire/inventory";
import type { Health, Loaded } from "#protocol/wire/shapes";
import { addressAfter, driverOf, pciPath } from "../host/pci.ts";
import { named } from "../host/sysfs-port.ts";
import { isOnVfio } from "../host/vfio-groups.ts";
import {
  type CardContext,
  type CardFamily,
  degraded,
  deviceOf,
  type FoundCard,
  handleAt,
  identified,
  loadedOf,
  loadedPart,
  pcieHealth,
} from "./card-family.ts";
import { type DflFacts, lacksVfs, portsWithVf, recallDfl, rememberDfl } from "./dfl-memory.ts";
import { bindDfl, rebindDfl, renewDfl } from "./dfl-repair.ts";
import { askPort, type DflPort, type DflView, type PortAnswer, readDfl } from "./dfl-view.ts";
import type { Place } from "./driver.ts";
import { requireLayout, requireVfs } from "./operating.ts";
import { scrubPart } from "./scrub-method.ts";

const regionKey = (port: DflPort): string => `port${port.id}`;

/**
 * Intel's cards with upstream drivers: every port is a deployable, its VF the one handle. A card of
 * one port without SR-IOV is offered whole, its PF being the handle.
 */
export const dfl: CardFamily = {
  name: "dfl",
  recognises: ({ names, known, remembered }) =>
    names.includes("fpga_region") || (remembered ?? known?.family) === "dfl",
  async describe(context, card) {
    const view = await viewOf(context, card.cardId, card.pci.address);
    const deployables: InventoryDeployable[] = [];
    for (const port of view.ports) {
      deployables.push(await describePort(context, card, view, port));
    }
    const layout = isWhole(view) ? "whole" : "regions";
    return deviceOf(context, card, { driver: "dfl", layout, deployables });
  },
  async loaded(context, place) {
    const { view, port } = await find(context, place);
    return loadedBy(context, place.device.cardId, port, await askPort(context.port, view, port));
  },
  async health(context, place) {
    const { view, port } = await find(context, place);
    return healthBy(context, place.device, view, await askPort(context.port, view, port));
  },
  async interfaceId(context, place) {
    return (await find(context, place)).view.interfaceId;
  },
  async requireIdle(context, place) {
    const { port } = await find(context, place);
    const [holder] = port.node === undefined ? [] : await context.port.holders(port.node);
    if (holder) throw new Fault("IN_USE", `${port.node} is open by ${named(holder)}`, { holder });
  },
  async repair(context, place) {
    const { view, port } = await find(context, place);
    const answer = await askPort(context.port, view, port);
    if (answer.kind === "running") throw new Fault("IN_USE", "A program is still running");
    const isLacking = lacksVfs(context, place.device.cardId, view);
    if (answer.kind === "driverless") await bindDfl(context, place, view);
    else if (answer.kind === "stuck" || answer.kind === "unbound" || isLacking) {
      await rebindDfl(context, place);
    }
  },
  async send(context, place, image, progress) {
    const { view, port } = await find(context, place);
    await context.pr.programPort(view.engine, port.id, image, progress);
  },
  async operate(context, device, operation) {
    const { address, cardId } = device;
    const view = await viewOf(context, cardId, address);
    const ids = view.ports.map(({ id }) => id);
    const now = portsWithVf(context, cardId, view);
    if (operation.kind === "layout") requireLayout(operation, "regions");
    const count = operation.kind === "rebind" ? now.length : (operation.vfs ?? ids.length);
    await requireVfs(context.port, address, count);
    const isThere = now.length === count && !lacksVfs(context, cardId, view);
    if (operation.kind === "layout" && isThere) return;
    const wanted = operation.kind === "rebind" ? now : ids.slice(0, count);
    await renewDfl(context, device, view, wanted);
  },
  async complaint(context, place) {
    const { manager } = (await find(context, place)).view;
    return manager === undefined ? "" : await context.port.read(`${manager}/status`);
  },
};

/** One port, and no VF that could have it: then whoever gets the card gets the PF. */
function isWhole({ ports, maxVfs }: DflView): boolean {
  return maxVfs === 0 && ports.length === 1;
}

/**
 * The card as its drivers show it; from memory while a guest has the PF, or nobody since a change of
 * its driver was cut off: then nothing is shown.
 */
async function viewOf(context: CardContext, cardId: string, pf: string): Promise<DflView> {
  const driver = await driverOf(context.port, pf);
  const onVfio = driver !== undefined && (await isOnVfio(context.port, pf));
  const facts = recallDfl(context, cardId);
  if (driver !== undefined && !onVfio) {
    const view = await readDfl(context.port, pf);
    const isRenewed = facts?.renewal !== undefined && !lacksVfs(context, cardId, view);
    if (isWhole(view) || isRenewed) rememberDfl(context, cardId, view);
    return view;
  }
  if (facts === undefined) throw new Error("its driver is not dfl-pci, and it was not seen before");
  const view = rememberedView(facts);
  return onVfio ? view : { ...view, driverless: true };
}

function rememberedView({ engine, interfaceId, renewal }: DflFacts): DflView {
  const { ports = [0], maxVfs = 0 } = renewal ?? {};
  return { engine, interfaceId, manager: undefined, maxVfs, ports: ports.map((id) => ({ id })) };
}

async function find(context: CardContext, place: Place): Promise<{ view: DflView; port: DflPort }> {
  const view = await viewOf(context, place.device.cardId, place.device.address);
  const found = view.ports.find((one) => regionKey(one) === place.deployable.region);
  if (!found) throw degraded(place, `The card has no ${place.deployable.region}`);
  return { view, port: found };
}

async function describePort(
  context: CardContext,
  card: FoundCard,
  view: DflView,
  port: DflPort,
): Promise<InventoryDeployable> {
  const answer = await askPort(context.port, view, port);
  const region = regionKey(port);
  return {
    id: deployableId(context.hostId, card.cardId, region),
    region,
    ...(view.interfaceId !== undefined && { interfaceId: view.interfaceId }),
    programmable: view.interfaceId !== undefined,
    sharing: "none",
    ...loadedPart(await loadedBy(context, card.cardId, port, answer)),
    health: await healthBy(
      context,
      { cardId: card.cardId, address: card.pci.address },
      view,
      answer,
    ),
    ...(await scrubPart(context, {
      interfaceId: view.interfaceId,
      handles: [await handleOf(context, card.pci.address, view, port)],
    })),
  };
}

/** A port that no VF has yet keeps its handle, at the address where its VF will be. */
async function handleOf(
  { port: kernel }: CardContext,
  pf: string,
  view: DflView,
  { id, vf }: DflPort,
): Promise<InventoryHandle> {
  if (isWhole(view)) return handleAt(kernel, { name: "pf", type: "PF", address: pf });
  if (view.maxVfs === 0) {
    const reason = "the card has several ports and no SR-IOV";
    return { name: `port${id}`, type: "PF", address: pf, attachable: false, reason };
  }
  if (vf) return handleAt(kernel, { name: `vf${vf.index}`, type: "VF", address: vf.address });
  const offset = Number(await kernel.read(`${pciPath(pf)}/sriov_offset`));
  const stride = Number(await kernel.read(`${pciPath(pf)}/sriov_stride`));
  return {
    name: `vf${id}`,
    type: "VF",
    address: addressAfter(pf, offset + id * stride),
    attachable: false,
    reason: "its VF does not exist",
  };
}

async function loadedBy(
  context: CardContext,
  cardId: string,
  port: DflPort,
  answer: PortAnswer,
): Promise<Loaded | undefined> {
  if (answer.kind === "hidden" || answer.kind === "driverless")
    return identified(context, cardId, regionKey(port));
  return loadedOf(context, answer.kind === "function" ? answer.id : undefined);
}

const troubles: Readonly<Record<string, Health>> = {
  running: { state: "stuck", reason: "a program is still running" },
  stuck: { state: "degraded", reason: "the port is held in reset after a failed program" },
  unbound: { state: "degraded", reason: "the port has lost its driver" },
  driverless: { state: "degraded", reason: "the card has lost its driver" },
};

async function healthBy(
  context: CardContext,
  { cardId, address }: Pick<Place["device"], "cardId" | "address">,
  view: DflView,
  { kind }: PortAnswer,
): Promise<Health> {
  const trouble = troubles[kind];
  if (trouble !== undefined) return trouble;
  if (!lacksVfs(context, cardId, view)) return await pcieHealth(context.port, address);
  return { state: "degraded", reason: "VFs are missing since a change of the card was cut off" };
}
