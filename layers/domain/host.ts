import type { HostState } from "./lifecycle.ts";

/** A compute node that runs the agent (design §2). */
export interface Host {
  readonly id: string;
  readonly name: string;
  readonly state: HostState;
  /** Ed25519 SPKI PEM of the agent's key; absent until it joined. */
  readonly publicKey?: string | undefined;
  /** Digest that binds the key to one machine. */
  readonly machine?: string | undefined;
  readonly revoked: boolean;
  readonly alarm?: string | undefined;
  readonly agentVersion?: string | undefined;
  readonly bootId?: string | undefined;
  readonly inventoryHash?: string | undefined;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly revision: number;
}

/** Sign of life and the one session that is heard. Its own row, so a ping never touches the host. */
export interface Beat {
  readonly host: string;
  readonly state: "online" | "offline" | "drained";
  readonly epoch: number;
  readonly seenAt: number;
  /** Absent while the agent polls over HTTPS. */
  readonly connection?: string | undefined;
  /** The inventory that was applied last; an agent that has another one is asked for it. */
  readonly inventoryHash?: string | undefined;
  /** Offline, but not all of its deployables are off offer yet. */
  readonly withdrawing?: boolean | undefined;
}

/** A card (design §2). */
export interface Device {
  readonly id: string;
  readonly host: string;
  readonly hostName: string;
  readonly cardId: string;
  readonly kind: "FPGA" | "GPU" | "NIC" | "QAT" | "SSD";
  readonly vendor: string;
  readonly product: string;
  readonly pciVendor: string;
  readonly pciDevice: string;
  readonly address: string;
  readonly numaNode?: number | undefined;
  readonly driver: string;
  readonly layout: "whole" | "regions" | "pf" | "vfs";
  readonly present: boolean;
  readonly deployables: readonly string[];
  /** When it was first found; absent on rows from before this was kept. */
  readonly createdAt?: number | undefined;
  readonly updatedAt: number;
}

/** New sockets per second of the whole fleet, below the 500 of the gateway (serverless.md §9). */
const connectsPerSecond = 300;

/** Narrowest reconnect window of a host in a fleet of `hosts`, ms; a small fleet needs no more than 1 s. */
export function reconnectWindowMs(hosts: number): number {
  return Math.max(1000, Math.ceil((hosts / connectsPerSecond) * 1000));
}
