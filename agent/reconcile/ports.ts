import type { KeyObject } from "node:crypto";
import type { Driver } from "../drivers/driver.ts";
import type { ImageCache } from "../host/image-cache.ts";
import type { SysfsPort } from "../host/sysfs-port.ts";
import type { VfioHost } from "../host/vfio.ts";
import type { Hypervisor } from "../hypervisors/hypervisor.ts";
import type { Runtime } from "../runtime.ts";

/** Longest a step may take before its card counts as stuck, ms. */
export interface Deadlines {
  /** One program (host.md §2.2: 60 s for images up to 200 MB, and the child's own start). */
  readonly program: number;
  readonly scrub: number;
}

/** Everything a step may touch. */
export interface Equipment {
  readonly driver: Driver;
  readonly hypervisors: readonly Hypervisor[];
  readonly kernel: SysfsPort;
  /** Binding and unbinding; it allows the addresses of the last scan only. */
  readonly vfio: VfioHost;
  readonly images: Pick<ImageCache, "has" | "fetch" | "verify">;
  /** Signs receipts. */
  readonly key: KeyObject;
  readonly deadlines: Deadlines;
  readonly runtime: Runtime;
}
