import type { Attachment, PlugTarget } from "#protocol/wire/shapes";

/** A handle that is bound to its pass-through driver and ready for a guest. */
export interface BoundHandle {
  readonly deployable: string;
  readonly name: string;
  readonly type: "PF" | "VF" | "MDEV";
  /** Of a mediated device its parent's, if that is a PCI function. */
  readonly address: string;
  /** Uuid of a mediated device. */
  readonly mdev?: string;
  readonly iommuGroup?: number;
  readonly claim: string;
}

/**
 * A way to make a handle reachable for a guest (os-acc's plug and unplug). Both calls are
 * idempotent: a second plug returns the same attachment, a second unplug does nothing.
 * Throws Fault PLUG_FAILED or UNPLUG_FAILED.
 */
export interface Hypervisor {
  readonly name: PlugTarget["hypervisor"];
  plug(handle: BoundHandle, target: PlugTarget): Promise<Attachment>;
  unplug(handle: BoundHandle, target: PlugTarget): Promise<void>;
}
