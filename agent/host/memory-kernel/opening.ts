import type { Holder } from "../sysfs-port.ts";
import { vfioDriver } from "./binding.ts";
import {
  type FunctionState,
  functionsOnBus,
  type KernelState,
  kernelError,
  portOwner,
} from "./state.ts";

/** Drivers that may share a group with a guest's device (host.md §3.3). */
const harmless = [vfioDriver, "pci-stub", "pcieport"];

/**
 * A process opens a device node that exists: EBUSY when another has it; for a VFIO group also EPERM
 * while a member is on a host driver. A guest that got in leaves traces in what it used.
 */
export function openNode(state: KernelState, node: string, holder: Holder): void {
  const holders = (state.holders[node] ??= []);
  if (holders.length > 0) throw kernelError("EBUSY", node);
  const group = /^\/dev\/vfio\/(\d+)$/.exec(node)?.[1];
  if (group !== undefined) enterGroup(state, Number(group));
  holders.push({ pid: holder.pid, command: holder.command });
}

function enterGroup(state: KernelState, group: number): void {
  const members = functionsOnBus(state).filter((fn) => fn.group === group);
  if (members.some((fn) => fn.driver !== null && !harmless.includes(fn.driver))) {
    throw kernelError("EPERM", `/dev/vfio/${group}`);
  }
  for (const fn of members.filter((one) => one.driver === vfioDriver)) soil(state, fn);
}

function soil(state: KernelState, fn: FunctionState): void {
  fn.dirty = true;
  const card = state.cards.find((one) => one.id === fn.card);
  for (const region of card?.regions ?? []) {
    const used = fn.role === "user" || (card && portOwner(state, card, region) === fn);
    if (used) region.dirty = true;
  }
}

/** The process closes the node or ends. */
export function closeNode(state: KernelState, node: string, pid: number): void {
  const rest = (state.holders[node] ?? []).filter((holder) => holder.pid !== pid);
  if (rest.length > 0) state.holders[node] = rest;
  else delete state.holders[node];
}
