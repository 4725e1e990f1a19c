import type { KeyObject } from "node:crypto";
import type { ImageReference } from "#protocol/wire/shapes";
import type { Driver } from "./drivers/driver.ts";
import type { Files } from "./host/files.ts";
import type { TrustPolicy } from "./host/image-trust.ts";
import type { SysfsPort } from "./host/sysfs-port.ts";
import type { Hypervisor } from "./hypervisors/hypervisor.ts";
import type { Deadlines } from "./reconcile/ports.ts";
import type { Clock, Failpoint, Log, Sleep } from "./runtime.ts";
import type { SocketConstructor } from "./session/socket-link.ts";

/** What an agent is started with. What is left out is the real thing. */
export interface AgentOptions {
  readonly hostId: string;
  /** The agent's private Ed25519 key. */
  readonly key: KeyObject;
  readonly cloud: { readonly socketUrl: string; readonly httpUrl: string };
  /** Private folder for marks, journals and images; made when missing. */
  readonly stateDir: string;
  readonly driver: Driver;
  readonly hypervisors: readonly Hypervisor[];
  readonly kernel: SysfsPort;
  /** Lets go of the kernel; called last. */
  readonly close?: () => void;
  /** Told of verified images, where another process loads them. */
  readonly vouch?: (bytes: Buffer, image: ImageReference) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly sleep: Sleep;
  readonly log: Log;
  readonly failpoint?: Failpoint;
  /** Digest of the machine's identity; read from the kernel when left out. */
  readonly machine?: string;
  /** The cloud's permit key; without it no permit is honoured. */
  readonly permitKey?: KeyObject;
  /** Whose images may be programmed; any by default, as in the offline cloud (design §8). */
  readonly trust?: TrustPolicy;
  /** Origins images may come from, such as `https://bucket.s3.eu-central-1.amazonaws.com`. */
  readonly allowedOrigins?: readonly string[];
  /** Cap of the image cache, bytes. */
  readonly cacheBytes?: number;
  /** Unix socket of the local API; none when left out. */
  readonly localSocket?: string;
  readonly scanMs?: number;
  /** Tells of changes between two scans until the signal; resolves when it cannot any more. */
  readonly deviceEvents?: (changed: () => void, signal: AbortSignal) => Promise<void>;
  readonly deadlines?: Deadlines;
  readonly webSocket?: SocketConstructor;
  readonly fetch?: typeof globalThis.fetch;
  readonly files?: Files;
}
