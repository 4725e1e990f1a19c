import { Fault } from "#domain/faults";
import { deployableId } from "#protocol/uuid";
import type { InventoryDeployable, InventoryHandle } from "#protocol/wire/inventory";
import type { Health, Loaded } from "#protocol/wire/shapes";
import { addressAfter, pciPath } from "../host/pci.ts";
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
import { rebindDfl } from "./dfl-repair.ts";
import { askPort, type DflPort, type DflView, type PortAnswer, readDfl } from "./dfl-view.ts";
import type { Place } from "./driver.ts";

const regionKey = (port: DflPort): string => `port${port.id}`;

/** Intel's cards with upstream drivers: every port is a deployable, its VF the one handle. */
export const dfl: CardFamily = {
  name: "dfl",
  recognises: ({ names, known }) => names.includes("fpga_region") || known?.family === "dfl",
  async describe(context, card) {
    const view = await readDfl(context.port, card.pci.address);
    const deployables: InventoryDeployable[] = [];
    for (const port of view.ports) {
      deployables.push(await describePort(context, card, view, port));
    }
    return deviceOf(context, card, { driver: "dfl", layout: "regions", deployables });
  },
  async loaded(context, place) {
    const { view, port } = await find(context, place);
    return loadedBy(context, place.device.cardId, port, await askPort(context.port, view, port));
  },
  async health(context, place) {
    const { view, port } = await find(context, place);
    return healthBy(context, place.device.address, await askPort(context.port, view, port));
  },
  async interfaceId(context, place) {
    return (await find(context, place)).view.interfaceId;
  },
  async requireIdle(context, place) {
    const { port } = await find(context, place);
    const [holder] = port.node === undefined ? [] : await context.port.holders(port.node);
    if (holder) throw new Fault("IN_USE", `${port.node} is open`, { holder });
  },
  async repair(context, place) {
    const { view, port } = await find(context, place);
    const answer = await askPort(context.port, view, port);
    if (answer.kind === "running") throw new Fault("IN_USE", "A program is still running");
    if (answer.kind === "stuck" || answer.kind === "unbound") await rebindDfl(context, place);
  },
  async send(context, place, image, progress) {
    const { view, port } = await find(context, place);
    await context.pr.programPort(view.engine, port.id, image, progress);
  },
  async complaint(context, place) {
    const { manager } = (await find(context, place)).view;
    return manager === undefined ? "" : await context.port.read(`${manager}/status`);
  },
};

async function find(
  { port }: CardContext,
  place: Place,
): Promise<{ view: DflView; port: DflPort }> {
  const view = await readDfl(port, place.device.address);
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
    scrubMethod: "erase",
    sharing: "none",
    ...loadedPart(await loadedBy(context, card.cardId, port, answer)),
    health: await healthBy(context, card.pci.address, answer),
    handles: [await handleOf(context, card.pci.address, port)],
  };
}

/** A port that no VF has yet keeps its handle, at the address where its VF will be. */
async function handleOf(
  { port: kernel }: CardContext,
  pf: string,
  { id, vf }: DflPort,
): Promise<InventoryHandle> {
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
  if (answer.kind === "hidden") return identified(context, cardId, regionKey(port));
  return loadedOf(context, answer.kind === "function" ? answer.id : undefined);
}

const troubles: Readonly<Record<string, Health>> = {
  running: { state: "stuck", reason: "a program is still running" },
  stuck: { state: "degraded", reason: "the port is held in reset after a failed program" },
  unbound: { state: "degraded", reason: "the port has lost its driver" },
};

async function healthBy({ port }: CardContext, pf: string, { kind }: PortAnswer): Promise<Health> {
  return troubles[kind] ?? (await pcieHealth(port, pf));
}
