import type { MemoryKernel } from "../../agent/host/memory-kernel/kernel.ts";
import {
  type CardState,
  type FunctionState,
  type KernelState,
  portOwner,
  type RegionState,
} from "../../agent/host/memory-kernel/state.ts";

/** Who has a handle in a guest, by the hardware's own account. */
export interface Plugged {
  readonly deployable: string;
  readonly handle: string;
  readonly claim: string;
  readonly project: string;
  readonly address: string;
  readonly group: number;
}

/** What a tenant left behind, by place: a region's memory, a function's registers, its logic. */
export interface Left {
  readonly what: "memory" | "registers" | "logic";
  readonly project: string;
}

/**
 * The truth about the cards of one host, whatever anybody says of them: which guest has which
 * handle, and whose secrets are still in which place.
 */
export class Cards {
  readonly kernel: MemoryKernel;
  readonly #owners: ReadonlyMap<string, string>;
  /** Whose data is in a place that is dirty: `card/region` or an address. */
  readonly #writers = new Map<string, string>();
  readonly plugged = new Map<string, Plugged>();

  constructor(kernel: MemoryKernel, owners: ReadonlyMap<string, string>) {
    this.kernel = kernel;
    this.#owners = owners;
  }

  /** What guests of others would find at this function. */
  leftAt(address: string): readonly Left[] {
    const state = this.kernel.state();
    const fn = state.functions.find((one) => one.address === address);
    if (fn === undefined) return [];
    const left: Left[] = [];
    const registers = this.#writers.get(address);
    if (fn.dirty && registers !== undefined) left.push({ what: "registers", project: registers });
    for (const [card, region] of regionsOf(state, fn)) {
      const memory = this.#writers.get(`${card.id}/${region.key}`);
      if (region.dirty && memory !== undefined) left.push({ what: "memory", project: memory });
      const logic = this.#owners.get(region.loaded);
      if (logic !== undefined) left.push({ what: "logic", project: logic });
    }
    return left;
  }

  /** A guest writes its secret into everything that it can reach. */
  soil({ address, project }: Plugged): void {
    const state = this.kernel.state();
    const fn = state.functions.find((one) => one.address === address);
    if (fn === undefined) return;
    this.#writers.set(address, project);
    for (const [card, region] of regionsOf(state, fn)) {
      this.#writers.set(`${card.id}/${region.key}`, project);
    }
  }

  /** The guest that has this handle, if one has. */
  guestOf(deployable: string, handle: string): Plugged | undefined {
    for (const one of this.plugged.values()) {
      if (one.deployable === deployable && one.handle === handle) return one;
    }
    return undefined;
  }
}

/** The parts of the card that a function gives access to. */
function regionsOf(state: KernelState, fn: FunctionState): readonly [CardState, RegionState][] {
  const card = state.cards.find((one) => one.id === fn.card);
  if (card === undefined) return [];
  return card.regions
    .filter((region) => fn.role === "user" || portOwner(state, card, region) === fn)
    .map((region): [CardState, RegionState] => [card, region]);
}
