import { addressParts, slotPath } from "../pci.ts";
import type { Holder, KernelError } from "../sysfs-port.ts";
import type { CardDescription } from "./cards.ts";

/** What can be made to go wrong while a bitstream goes in. */
export const failureKinds = [
  "crc",
  "timeout",
  "incompatible",
  "wrong-read-back",
  "vanish",
  "hang",
] as const;
export type FailureKind = (typeof failureKinds)[number];

/** A bitstream on its way in; kept so that a restored kernel can finish it. */
export interface RunningProgram {
  functionId: string;
  failure: FailureKind | "none";
}

/** What is programmed as one: a port of a DFL card, or the whole of an Alveo card. */
export interface RegionState {
  readonly key: string;
  loaded: string;
  running: RunningProgram | null;
  /** Held in reset since a failed PR; only a rebind of the PF helps (host.md §2.5a). */
  stuck: boolean;
  /** Taken from the PF, for a VF (host.md §3.4). */
  released: boolean;
  /** The port device has its driver; false after RELEASE and ASSIGN (host.md §2.5b). */
  bound: boolean;
  /** The n of dfl-port.n, given at probe time. */
  number: number;
  /** A guest's data is in the card's memory; only a blank image clears it. */
  dirty: boolean;
}

export interface CardState {
  readonly id: string;
  readonly description: CardDescription;
  present: boolean;
  /** Every attribute answers EIO. */
  broken: boolean;
  /** A write of 0 to sriov_numvfs waits for the holder of a VF. */
  removing: boolean;
  autoprobe: boolean;
  managerState: string;
  managerStatus: string;
  /** The n of dfl-fme.n, given at probe time. */
  number: number;
  /** XRT's dev_offline. */
  offline: boolean;
  fatalErrors: number;
  readonly regions: RegionState[];
}

/** One PCI function. Addresses are its key while the kernel runs. */
export interface FunctionState {
  readonly address: string;
  readonly card: string;
  readonly role: "bridge" | "pf" | "management" | "user" | "vf";
  readonly vf: number;
  readonly device: string;
  /** The driver whose id table has this function; "" when none has. */
  readonly native: string;
  driver: string | null;
  override: string | null;
  readonly group: number;
  /** The number of vfio-dev/vfioN, from its last bind. */
  vfio: number;
  /** An unbind waits for a holder. */
  leaving: boolean;
  /** A guest's data is in the registers; FLR clears it. */
  dirty: boolean;
}

export interface PlannedFailure {
  readonly card: string;
  readonly region: string;
  readonly kind: FailureKind;
  times: number;
}

/** The whole kernel as JSON. */
export interface KernelState {
  readonly version: 1;
  readonly bootId: string;
  next: number;
  readonly cards: CardState[];
  functions: FunctionState[];
  readonly holders: Record<string, Holder[]>;
  failures: PlannedFailure[];
}

/** When a blocking write is done; undefined when it already is. */
export type Wait = (() => boolean) | undefined;

/** An error as Node reports it from a system call. */
export function kernelError(code: string, where: string): KernelError {
  return Object.assign(new Error(`${code}: ${where}`), { code });
}

/** The host bridge above a root port, as /sys/devices names it. */
export function hostBridge(rootPort: string): string {
  const { domain, bus } = addressParts(rootPort);
  return `pci${domain}:${bus}`;
}

/** The slot path by which drivers know the card too. */
export function cardIdOf({ rootPort, address }: CardDescription): string {
  return slotPath(`devices/${hostBridge(rootPort)}/${rootPort}/${address}`) ?? address;
}

/** The directory of a function below /sys. */
export function pathOf(state: KernelState, fn: FunctionState): string {
  const { rootPort } = cardOf(state, fn).description;
  const bridge = `devices/${hostBridge(rootPort)}/${rootPort}`;
  return fn.role === "bridge" ? bridge : `${bridge}/${fn.address}`;
}

/** The card of a function. */
export function cardOf(state: KernelState, fn: FunctionState): CardState {
  const card = state.cards.find((one) => one.id === fn.card);
  if (!card) throw kernelError("ENODEV", fn.address);
  return card;
}

/** A card by its id; ENODEV when there is none. */
export function cardById(state: KernelState, id: string): CardState {
  const card = state.cards.find((one) => one.id === id);
  if (!card) throw kernelError("ENODEV", id);
  return card;
}

/** The functions that are on the bus now. */
export function functionsOnBus(state: KernelState): FunctionState[] {
  const gone = new Set(state.cards.filter((card) => !card.present).map((card) => card.id));
  return state.functions.filter((fn) => fn.role === "bridge" || !gone.has(fn.card));
}

/** A function on the bus by its address. */
export function functionAt(state: KernelState, address: string): FunctionState | undefined {
  return functionsOnBus(state).find((fn) => fn.address === address);
}

/** The card's functions of one role, VFs by number. */
export function functionsOf(
  state: KernelState,
  card: CardState,
  role: FunctionState["role"],
): FunctionState[] {
  return state.functions
    .filter((fn) => fn.card === card.id && fn.role === role)
    .sort((a, b) => a.vf - b.vf);
}

/** Somebody has the group's node open. */
export function groupHeld(state: KernelState, group: number): boolean {
  return (state.holders[`/dev/vfio/${group}`] ?? []).length > 0;
}

/** The VF that has the card's port, when one has: released ports go to VFs in order. */
export function portOwner(
  state: KernelState,
  card: CardState,
  region: RegionState,
): FunctionState | undefined {
  if (!region.released) return undefined;
  const index = card.regions.filter((one) => one.released).indexOf(region);
  return functionsOf(state, card, "vf").find((vf) => vf.vf === index);
}
