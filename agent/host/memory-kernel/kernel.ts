import type { PrPort } from "../pr-port.ts";
import type { Holder, SysfsPort } from "../sysfs-port.ts";
import { attributes } from "./attributes.ts";
import { bootState } from "./boot.ts";
import { type Machine, type MemoryKernelOptions, nodeAt, startMachine } from "./machine.ts";
import { closeNode, openNode } from "./opening.ts";
import { finish } from "./programming.ts";
import { programmingPort } from "./programming-port.ts";
import {
  type CardState,
  cardById,
  type FailureKind,
  type KernelState,
  kernelError,
} from "./state.ts";

/** A kernel with cards, and the hands that plug, break and use them. */
export interface MemoryKernel extends SysfsPort, PrPort {
  /** Everything as JSON; the caller may keep it. */
  snapshot(): KernelState;
  /** Everything as it is now, to be looked at only. */
  state(): KernelState;
  /** Power off and on: volatile things are lost, flash images load, missing cards are back. */
  reboot(bootId: string): Promise<void>;
  /** The next `times` programs (or erases) of a region go wrong in this way. */
  failNext(cardId: string, region: string, kind: FailureKind, times?: number): Promise<void>;
  /** A program that hangs comes to its end. */
  endHang(cardId: string, region: string): Promise<void>;
  /** The card falls off the bus, or is back with nothing changed. */
  setPresent(cardId: string, present: boolean): Promise<void>;
  /** Every attribute of the card fails with EIO, or works again. */
  setBroken(cardId: string, broken: boolean): Promise<void>;
  /** Fatal PCIe errors that the card has counted. */
  setFatalErrors(cardId: string, count: number): Promise<void>;
  /** A process opens a device node, as a hypervisor does with /dev/vfio/N. */
  open(node: string, holder: Holder): Promise<void>;
  close(node: string, pid: number): Promise<void>;
}

/** Starts a kernel in memory. The errno of every refusal is that of host.md §2 and §3. */
export function memoryKernel(options: MemoryKernelOptions): MemoryKernel {
  const machine = startMachine(options);
  return { ...attributes(machine), ...programmingPort(machine), ...hands(machine) };
}

type Hands = Omit<MemoryKernel, keyof SysfsPort | keyof PrPort>;

function hands(machine: Machine): Hands {
  const touch = async (cardId: string, change: (card: CardState) => void) => {
    change(cardById(machine.state(), cardId));
    await machine.changed();
  };
  return {
    snapshot: () => structuredClone(machine.state()),
    state: machine.state,
    async reboot(bootId) {
      const { failures } = machine.state();
      await machine.restart({ ...bootState(machine.options.cards, bootId), failures });
    },
    async failNext(card, region, kind, times = 1) {
      cardById(machine.state(), card);
      machine.state().failures.push({ card, region, kind, times });
      await machine.changed();
    },
    endHang: (cardId, region) =>
      touch(cardId, (card) => {
        const found = card.regions.find((one) => one.key === region);
        if (found?.running?.failure === "hang") finish(card, found);
      }),
    setPresent: (cardId, present) => touch(cardId, (card) => Object.assign(card, { present })),
    setBroken: (cardId, broken) => touch(cardId, (card) => Object.assign(card, { broken })),
    setFatalErrors: (cardId, fatalErrors) =>
      touch(cardId, (card) => Object.assign(card, { fatalErrors })),
    async open(node, holder) {
      if (!nodeAt(machine.root(), node)) throw kernelError("ENOENT", node);
      openNode(machine.state(), node, holder);
      await machine.changed();
    },
    async close(node, pid) {
      closeNode(machine.state(), node, pid);
      await machine.changed();
    },
  };
}
