import {
  type CardState,
  cardOf,
  type FunctionState,
  functionAt,
  functionsOf,
  groupHeld,
  type KernelState,
  kernelError,
  portOwner,
  type Wait,
} from "./state.ts";

/** The pass-through driver; the only one here that has /dev/vfio nodes. */
export const vfioDriver = "vfio-pci";

/** Drivers that are loaded but have none of our ids in their tables. */
const idless = [vfioDriver, "pci-stub", "pci-pf-stub"];

/** Names below /sys/bus/pci/drivers. */
export function driverNames(state: KernelState): string[] {
  const native = state.functions.map((fn) => fn.native).filter((name) => name !== "");
  return [...new Set([...idless, ...native])].sort();
}

/** The driver the kernel would choose: an override beats every id table. */
function matchOf(state: KernelState, fn: FunctionState): string | undefined {
  const name = fn.override ?? fn.native;
  return driverNames(state).includes(name) ? name : undefined;
}

/** What drivers_probe does to one function (host.md §3.2): nothing when nothing matches. */
export function probe(state: KernelState, fn: FunctionState): void {
  const name = matchOf(state, fn);
  if (name === undefined || fn.driver !== null) return;
  if (groupHeld(state, fn.group) && name !== vfioDriver) throw kernelError("EINVAL", fn.address);
  if (fn.role === "bridge" && name === vfioDriver) throw kernelError("EINVAL", fn.address);
  attach(state, fn, name);
}

/** `echo BDF > /sys/bus/pci/drivers_probe`. ENODEV without such a device, EINVAL when it fails. */
export function probeAddress(state: KernelState, address: string): void {
  const fn = functionAt(state, address);
  if (!fn) throw kernelError("ENODEV", address);
  probe(state, fn);
}

/** `echo BDF > drivers/<name>/bind`: only a driver that matches, only a free device. */
export function bind(state: KernelState, driver: string, address: string): void {
  const fn = functionAt(state, address);
  if (!fn || matchOf(state, fn) !== driver) throw kernelError("ENODEV", address);
  if (fn.driver !== null) throw kernelError("EBUSY", address);
  if (groupHeld(state, fn.group) && driver !== vfioDriver) throw kernelError("EBUSY", address);
  attach(state, fn, driver);
}

/** `echo BDF > drivers/<name>/unbind`: waits while a guest holds what would go away. */
export function unbind(state: KernelState, driver: string, address: string): Wait {
  const fn = functionAt(state, address);
  if (!fn || fn.driver !== driver) throw kernelError("ENODEV", address);
  fn.leaving = true;
  if (ownsVfs(fn)) cardOf(state, fn).removing = true;
  settle(state);
  return fn.leaving ? () => !fn.leaving : undefined;
}

/** dfl-pci takes its VFs along, other drivers leave them behind (host.md §3.4). */
function ownsVfs(fn: FunctionState): boolean {
  return fn.role === "pf" && fn.driver === "dfl-pci";
}

function attach(state: KernelState, fn: FunctionState, name: string): void {
  fn.driver = name;
  if (name === vfioDriver) fn.vfio = state.next++;
  const card = state.cards.find((one) => one.id === fn.card);
  if (card && name === "dfl-pci") enumerate(state, card, fn);
}

/** dfl-pci looks at the card afresh: this is what cures ports (host.md §2.5). */
function enumerate(state: KernelState, card: CardState, fn: FunctionState): void {
  if (fn.role === "vf") {
    const region = card.regions.find((one) => portOwner(state, card, one) === fn);
    if (region) region.number = state.next++;
    return;
  }
  card.number = state.next++;
  card.managerState = "unknown";
  card.managerStatus = "";
  for (const region of card.regions) {
    Object.assign(region, { stuck: false, released: false, bound: true, number: state.next++ });
  }
}

/** A VF that nobody holds can go at once. */
function removable(state: KernelState, fn: FunctionState): boolean {
  return !(fn.driver === vfioDriver && groupHeld(state, fn.group));
}

/**
 * Finishes what waited for holders: VFs that are free go first and at once, a held one only after
 * its holder let go (host.md §3.4); then the functions that were being unbound.
 */
export function settle(state: KernelState): void {
  for (const card of state.cards.filter((one) => one.removing)) {
    const stay = functionsOf(state, card, "vf").filter((vf) => !removable(state, vf));
    const gone = new Set(functionsOf(state, card, "vf").filter((vf) => !stay.includes(vf)));
    state.functions = state.functions.filter((fn) => !gone.has(fn));
    card.removing = stay.length > 0;
  }
  for (const fn of state.functions.filter((one) => one.leaving)) {
    const waits = ownsVfs(fn) ? cardOf(state, fn).removing : !removable(state, fn);
    if (!waits) Object.assign(fn, { driver: null, leaving: false });
  }
}

/** The device lock is taken: reading some attributes waits for it (host.md §3.4). */
export function deviceLocked(state: KernelState, fn: FunctionState): boolean {
  if (fn.leaving) return true;
  const card = state.cards.find((one) => one.id === fn.card);
  return card?.removing === true && (fn.role === "pf" || fn.role === "vf");
}

/** The bus-wide rescan lock is taken. */
export function busLocked(state: KernelState): boolean {
  return state.cards.some((card) => card.removing) || state.functions.some((fn) => fn.leaving);
}
