import { uuidOf } from "#protocol/uuid";

/** Where a simulated card sits; everything else about it follows its model. */
interface Seat {
  /** The bridge above the card, `0000:00:01.0`; it names the slot. */
  readonly rootPort: string;
  /** Function 0 of the card. */
  readonly address: string;
  readonly numaNode: number;
  readonly vendor: string;
  readonly device: string;
  readonly subsystem: string;
}

/** An Intel card of the DFL family: one PF with the management engine, one VF per port. */
export interface DflDescription extends Seat {
  readonly model: "dfl";
  readonly vfDevice: string;
  readonly interfaceId: string;
  /** Ports of the management engine, at most 4 (host.md §1.3). */
  readonly ports: number;
  /** What a cold start loads into every port. */
  readonly flashFunction: string;
  /** VFs that the host's boot scripts make; each takes one port. */
  readonly bootVfs: number;
  /** Left out, the card can have a VF for each port. */
  readonly sriov?: false;
}

/** An AMD card: function 0 manages, function 1 is what a tenant gets (host.md §1.5). */
export interface AlveoDescription extends Seat {
  readonly model: "alveo";
  readonly userDevice: string;
  readonly interfaceId: string;
  /** No ACS between the functions: the user PF cannot be given away (host.md §3.3). */
  readonly sharedGroup: boolean;
}

/** A card with one fixed function behind SR-IOV. */
export interface SriovDescription extends Seat {
  readonly model: "sriov";
  readonly vfDevice: string;
  readonly totalVfs: number;
  readonly bootVfs: number;
  /** `none`: no reset file; `broken`: every reset ends with ENOTTY (host.md §3.5). */
  readonly reset: "flr" | "none" | "broken";
}

export type CardDescription = DflDescription | AlveoDescription | SriovDescription;

/** What the vendor's blank image answers when asked for its id: nothing is loaded. */
export const blankFunction: string = uuidOf("blank");

const hex = (value: number): string => value.toString(16).padStart(2, "0");

/** Slots are numbered from 0 to 199; each has its own root port and bus. */
function seat(slot: number): Pick<Seat, "rootPort" | "address" | "numaNode"> {
  if (!Number.isInteger(slot) || slot < 0 || slot > 199) throw new RangeError("no such slot");
  return {
    rootPort: `0000:00:${hex(1 + (slot >> 3))}.${slot & 7}`,
    address: `0000:${hex(0x10 + slot)}:00.0`,
    numaNode: slot % 2,
  };
}

/** Intel PAC with Arria 10 GX (ids of host.md §1.7) and two ports, both handed to VFs. */
export function dflCard(slot: number, changes: Partial<DflDescription> = {}): DflDescription {
  return {
    model: "dfl",
    ...seat(slot),
    vendor: "8086",
    device: "09c4",
    subsystem: "8086:0000",
    vfDevice: "09c5",
    interfaceId: "69528db6-eb31-577a-9926-ab6d6c925a68",
    ports: 2,
    flashFunction: blankFunction,
    bootVfs: 2,
    ...changes,
  };
}

/** The same card with a shell of one port and without SR-IOV: its PF is what a tenant gets. */
function wholeDflCard(slot: number): DflDescription {
  return dflCard(slot, { ports: 1, bootVfs: 0, sriov: false });
}

/** Alveo U250 (ids of host.md §1.7). */
export function alveoCard(slot: number, changes: Partial<AlveoDescription> = {}): AlveoDescription {
  return {
    model: "alveo",
    ...seat(slot),
    vendor: "10ee",
    device: "5004",
    subsystem: "10ee:000e",
    userDevice: "5005",
    interfaceId: "862c7020-a250-293e-3203-6f19956669e5",
    sharedGroup: false,
    ...changes,
  };
}

/** Inspur F10A with its fixed function (id of host.md §1.7) and four VFs. */
export function sriovCard(slot: number, changes: Partial<SriovDescription> = {}): SriovDescription {
  return {
    model: "sriov",
    ...seat(slot),
    vendor: "1bd4",
    device: "a115",
    subsystem: "1bd4:a115",
    vfDevice: "a115",
    totalVfs: 4,
    bootVfs: 4,
    reset: "flr",
    ...changes,
  };
}

/** How many cards of each kind a simulated host has. */
export interface CardCounts {
  readonly dfl?: number;
  /** Intel cards of one port without SR-IOV, given away whole. */
  readonly dflWhole?: number;
  readonly alveo?: number;
  readonly sriov?: number;
}

/** Cards in consecutive slots; one of each kind by default. */
export function stockCards(
  counts: CardCounts = { dfl: 1, alveo: 1, sriov: 1 },
): readonly CardDescription[] {
  const makers = [
    ...Array.from({ length: counts.dfl ?? 0 }, () => dflCard),
    ...Array.from({ length: counts.dflWhole ?? 0 }, () => wholeDflCard),
    ...Array.from({ length: counts.alveo ?? 0 }, () => alveoCard),
    ...Array.from({ length: counts.sriov ?? 0 }, () => sriovCard),
  ];
  return makers.map((make, slot) => make(slot));
}
