import type { InventoryDeployable, InventoryDevice } from "#protocol/wire/inventory";
import type { Health, Loaded, ScrubMethod } from "#protocol/wire/shapes";

/** One card that could not be read; it never hides the others (design §7). */
export interface DiscoveryProblem {
  readonly address: string;
  readonly reason: string;
}

export interface Discovery {
  readonly devices: readonly InventoryDevice[];
  readonly problems: readonly DiscoveryProblem[];
}

/** Where a deployable is on this boot; addresses renumber, `cardId` and `region` do not. */
export interface Place {
  readonly device: InventoryDevice;
  readonly deployable: InventoryDeployable;
}

/** What the card says now. */
export interface Observation {
  readonly loaded: Loaded;
  readonly health: Health;
  /**
   * True while the card cannot be asked because a pass-through driver has the handle: `loaded` is
   * only what `place` said, and what was proven by the last read back of this boot holds instead.
   */
  readonly opaque?: true;
}

/** An image whose digest, signature and header were checked in these very bytes (host.md §6.2). */
export interface VerifiedImage {
  readonly id: string;
  readonly sha256: string;
  readonly functionId: string;
  readonly interfaceId?: string;
  readonly format: "gbs" | "xclbin" | "afi" | "raw";
  /** The whole file. */
  readonly bytes: Buffer;
  /** Where the raw bitstream starts in `bytes`; 0 when the format goes to the card whole. */
  readonly payloadOffset: number;
}

/** Long work: progress in percent, and a signal that asks to stop before the next irreversible act. */
export interface Work {
  readonly progress: (percent: number) => void;
  readonly signal: AbortSignal;
}

/** What is to be done to a whole card that nobody uses (design §2, card operations). */
export interface CardOperation {
  readonly kind: "layout" | "rebind";
  readonly layout?: InventoryDevice["layout"] | undefined;
  readonly vfs?: number | undefined;
}

/**
 * A vendor's cards. Every method reads the hardware, keeps no state of its own between calls and
 * throws Fault: PROGRAM_FAILED, PROGRAM_TIMEOUT, IMAGE_INCOMPATIBLE, IN_USE, CARD_GONE,
 * CARD_DEGRADED, CARD_STUCK, SCRUB_FAILED.
 */
export interface Driver {
  readonly name: string;
  /** All cards of this driver, in any state. Never throws for one bad card. */
  discover(): Promise<Discovery>;
  /** What is loaded and how the card feels; CARD_GONE when it vanished. */
  observe(place: Place): Promise<Observation>;
  /**
   * Loads an image and returns when the hardware said yes; the caller reads back. May never return:
   * the caller has the deadline. Addresses and IOMMU groups of the card may be others afterwards.
   */
  program(place: Place, image: VerifiedImage, work: Work): Promise<void>;
  /** Makes the whole deployable clean by `method`; the caller reads back. */
  scrub(place: Place, method: ScrubMethod, work: Work): Promise<void>;
  /** Brings an unused card that is degraded into order, where there is a way; without one nothing. */
  repair?(place: Place): Promise<void>;
  /** Makes one unplugged handle clean while its neighbours run (FLR, driver clear). */
  cleanHandle(place: Place, handle: string): Promise<void>;
  /**
   * Gives a card another layout, or binds its driver anew; done already, it does nothing. The caller
   * has proven that no guest has any of it and looks for cards again afterwards. Beside the faults
   * above INVALID_REQUEST, before anything is touched, for what this card cannot be; IN_USE while a
   * process holds a part of it, CARD_STUCK when the kernel does not return, CARD_DEGRADED when the
   * card did not come back as wished.
   */
  operate?(card: InventoryDevice, operation: CardOperation): Promise<void>;
}
