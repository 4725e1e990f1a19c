import { isDeepStrictEqual } from "node:util";
import { realSleep, type Sleep } from "../deadline.ts";
import { settle } from "./binding.ts";
import { bootState } from "./boot.ts";
import type { CardDescription } from "./cards.ts";
import { finish } from "./programming.ts";
import { type KernelState, kernelError } from "./state.ts";
import { type Dir, find, type Node } from "./tree.ts";
import { tree } from "./tree-root.ts";

/** What a simulated host is made of. */
export interface MemoryKernelOptions {
  readonly cards: readonly CardDescription[];
  /** Boot id of the first start; a restored kernel keeps its own. */
  readonly bootId: string;
  /** Uuid of the machine, for /etc/machine-id and DMI; without it the host has neither. */
  readonly machineId?: string;
  /** An earlier snapshot. It counts only if the host has the same cards as then. */
  readonly snapshot?: KernelState;
  /** Called with every change, in order; what changed it returns only afterwards. */
  readonly persist?: (snapshot: KernelState) => void | Promise<void>;
  readonly sleep?: Sleep;
  /** How many times faster than a real card bitstreams go in; Infinity for no waiting. */
  readonly speed?: number;
  /**
   * As with real cards, nobody can say what is loaded while a guest's driver has the function.
   * By default the management side of a simulated card can.
   */
  readonly opaque?: boolean;
}

/** The running kernel: its state, and who waits for what. */
export interface Machine {
  readonly options: MemoryKernelOptions;
  readonly sleep: Sleep;
  readonly state: () => KernelState;
  readonly root: () => Dir;
  /** To be called after every change: what waited for it goes on, and it is persisted. */
  readonly changed: () => Promise<void>;
  /** Waits until a change makes `done` true; ENODEV when power goes, or went, off under `state`. */
  readonly until: (state: KernelState, done: () => boolean) => Promise<void>;
  /** Power off and on with what the next start finds. */
  readonly restart: (state: KernelState) => Promise<void>;
}

interface Waiter {
  readonly done: () => boolean;
  readonly go: () => void;
  readonly lost: (error: Error) => void;
}

/** Starts from the snapshot, or cold when there is none that fits. */
export function startMachine(options: MemoryKernelOptions): Machine {
  let state = restored(options) ?? bootState(options.cards, options.bootId);
  let root = tree(state, options.machineId);
  let persisted = Promise.resolve();
  const waiting = new Set<Waiter>();
  const changed = () => {
    settle(state);
    root = tree(state, options.machineId);
    for (const waiter of waiting) {
      if (!waiter.done()) continue;
      waiting.delete(waiter);
      waiter.go();
    }
    if (!options.persist) return Promise.resolve();
    const copy = structuredClone(state);
    // A disk that was full once may have room for the next change.
    persisted = persisted.catch(() => undefined).then(() => options.persist?.(copy));
    return persisted;
  };
  return {
    options,
    sleep: options.sleep ?? realSleep,
    state: () => state,
    root: () => root,
    changed,
    until(since, done) {
      if (since !== state) return Promise.reject(kernelError("ENODEV", "power off"));
      if (done()) return Promise.resolve();
      return new Promise((go, lost) => waiting.add({ done, go, lost }));
    },
    restart(next) {
      for (const waiter of waiting) waiter.lost(kernelError("ENODEV", "power off"));
      waiting.clear();
      state = next;
      return changed();
    },
  };
}

/** What a killed agent left: its kernel went on, so running programs have ended meanwhile. */
function restored({ snapshot, cards }: MemoryKernelOptions): KernelState | undefined {
  const same = snapshot?.cards.map((card) => card.description);
  if (!snapshot || !isDeepStrictEqual(same, JSON.parse(JSON.stringify(cards)))) return undefined;
  const state = structuredClone(snapshot);
  for (const card of state.cards) {
    for (const region of card.regions) {
      if (region.running?.failure !== "hang") finish(card, region);
    }
  }
  return state;
}

/** The node at a path; undefined when there is none. */
export function nodeAt(root: Dir, path: string): Node | undefined {
  const found = find(root, path);
  return typeof found === "string" ? undefined : found;
}
