import { addressAfter } from "../pci.ts";
import { probe, settle } from "./binding.ts";
import {
  type CardState,
  type FunctionState,
  functionsOf,
  type KernelState,
  kernelError,
  type Wait,
} from "./state.ts";

/** SR-IOV capability of the simulated cards: VFs follow their PF without gaps. */
export const vfOffset = 1;
export const vfStride = 1;

/** How many VFs a card can have; undefined without the capability. */
export function totalVfs(card: CardState): number | undefined {
  const { description } = card;
  if (description.model === "dfl") {
    return description.sriov === false ? undefined : description.ports;
  }
  return description.model === "sriov" ? description.totalVfs : undefined;
}

/** VF drivers are the PF's for DFL (they show the port), none for the fixed-function card. */
function makeVf(state: KernelState, card: CardState, vf: number): FunctionState {
  const { description } = card;
  const dfl = description.model === "dfl";
  return {
    address: addressAfter(description.address, vfOffset + vf * vfStride),
    card: card.id,
    role: "vf",
    vf,
    device: description.model === "alveo" ? description.device : description.vfDevice,
    native: dfl ? "dfl-pci" : "",
    driver: null,
    override: null,
    group: state.next++,
    vfio: 0,
    leaving: false,
    dirty: false,
  };
}

function parseCount(text: string): number {
  const trimmed = text.trim();
  if (!/^\d{1,5}$/.test(trimmed)) throw kernelError("EINVAL", "sriov_numvfs");
  return Number(trimmed);
}

/** Writes sriov_numvfs with every refusal and trap of host.md §3.4. */
export function setNumVfs(state: KernelState, pf: FunctionState, text: string): Wait {
  const card = state.cards.find((one) => one.id === pf.card);
  const total = card && totalVfs(card);
  if (!card || total === undefined) throw kernelError("ENOENT", "sriov_numvfs");
  const wanted = parseCount(text);
  if (wanted > total) throw kernelError("ERANGE", "sriov_numvfs");
  const now = functionsOf(state, card, "vf").length;
  if (wanted === now) return undefined;
  // vfio-pci has the callback but sriov is off by default; the others have none at all.
  const supports = pf.driver === "pci-pf-stub" || (pf.driver !== null && pf.driver === pf.native);
  if (!supports) throw kernelError("ENOENT", "sriov_numvfs");
  if (wanted === 0) {
    card.removing = true;
    settle(state);
    return card.removing ? () => !card.removing : undefined;
  }
  if (now !== 0) throw kernelError("EBUSY", "sriov_numvfs");
  addVfs(state, card, wanted);
  return undefined;
}

function addVfs(state: KernelState, card: CardState, count: number): void {
  const released = card.regions.filter((region) => region.released).length;
  if (card.description.model === "dfl" && released !== count) {
    throw kernelError("EINVAL", "sriov_numvfs");
  }
  const vfs = Array.from({ length: count }, (_, index) => makeVf(state, card, index));
  state.functions.push(...vfs);
  if (card.autoprobe) for (const vf of vfs) probe(state, vf);
}

/** FME_PORT_RELEASE (host.md §2.5c): EBUSY while open or twice, ENODEV for an unknown port. */
export function releasePort(state: KernelState, card: CardState, portId: number): void {
  const region = card.regions[portId];
  if (!region) throw kernelError("ENODEV", `port ${portId}`);
  const open = (state.holders[`/dev/dfl-port.${region.number}`] ?? []).length > 0;
  if (region.released || open) throw kernelError("EBUSY", `port ${portId}`);
  region.released = true;
}

/** FME_PORT_ASSIGN (host.md §2.5b, c): the port comes back without its driver. */
export function assignPort(state: KernelState, card: CardState, portId: number): void {
  const region = card.regions[portId];
  if (!region) throw kernelError("ENODEV", `port ${portId}`);
  const taken = functionsOf(state, card, "vf").length > 0;
  if (!region.released || taken) throw kernelError("EBUSY", `port ${portId}`);
  Object.assign(region, { released: false, bound: false });
}
