import type { FaultCode } from "#domain/faults";
import type { Desired, DesiredHandle, Phase } from "#protocol/wire/messages";
import type {
  Health,
  ImageReference,
  Loaded,
  PlugTarget,
  ScrubMethod,
} from "#protocol/wire/shapes";
import type { Holder } from "../host/sysfs-port.ts";
import type { Journal, Operation } from "../memory/journal.ts";
import type { DeployableMarks } from "../memory/marks.ts";

/** The wish the agent works by. `handlesOnly`: made from permits alone, it says nothing of images. */
export interface Wish
  extends Pick<
    Desired,
    "revision" | "imageGeneration" | "scrub" | "image" | "force" | "replug" | "handles"
  > {
  readonly handlesOnly?: true;
}

/** One handle as the kernel shows it. */
export interface HandleReality {
  readonly address: string;
  readonly iommuGroup?: number;
  readonly type: "PF" | "VF" | "MDEV";
  /** A VFIO driver has it, so that a guest can. */
  readonly onVfio: boolean;
  /** Who has its VFIO group open. */
  readonly holders: readonly Holder[];
}

/** What is, read just before a step is chosen. */
export interface Reality {
  readonly bootId: string;
  readonly loaded: Loaded;
  readonly health: Health;
  readonly handles: Readonly<Record<string, HandleReality>>;
  /** The wished image is in the cache / was checked in the bytes at hand. */
  readonly image: "absent" | "cached" | "verified";
}

/** What the agent remembers of one deployable. */
export interface Memory {
  readonly marks: DeployableMarks;
  readonly journal: Journal;
  /** Handles whose last step failed and that are left alone for now. */
  readonly resting: ReadonlySet<string>;
  /** A repair was tried since the card was last well. */
  readonly repaired?: boolean;
}

interface OnImage {
  readonly image: ImageReference;
  readonly generation: number;
}

/** One touch, or one preparation of a touch. Between two steps the newest wish is looked at. */
export type Step =
  | ({ readonly kind: "fetch" } & OnImage)
  | ({ readonly kind: "verify" } & OnImage)
  | { readonly kind: "unplug"; readonly handle: string; readonly target?: PlugTarget }
  | ({ readonly kind: "program" } & OnImage)
  | { readonly kind: "read-back"; readonly operation: Operation }
  | {
      readonly kind: "bind";
      readonly handle: string;
      readonly fence: number;
    }
  | {
      readonly kind: "plug";
      readonly handle: string;
      readonly fence: number;
      readonly claim: NonNullable<DesiredHandle["claim"]>;
      readonly target: PlugTarget;
    }
  | { readonly kind: "scrub"; readonly method: ScrubMethod; readonly generation: number }
  | { readonly kind: "clean-handle"; readonly handle: string; readonly fence: number }
  /** A free card that feels unwell is brought into order before somebody asks for it. */
  | { readonly kind: "repair" }
  /** The generation's wish is met: its outcome is written down. */
  | { readonly kind: "settle"; readonly generation: number };

export type StepKind = Step["kind"];
export type StepOf<Kind extends StepKind> = Extract<Step, { readonly kind: Kind }>;

/** Why nothing can be done now although the wish is not met. */
export interface Blocked {
  readonly kind: "blocked";
  readonly code: FaultCode;
  readonly message: string;
}

/** What follows from wish, reality and memory. */
export type Plan = Step | Blocked | { readonly kind: "done" };

/** The word of the wire for work under way. */
export const phaseOf: { readonly [Kind in StepKind]: Phase } = {
  fetch: "fetching",
  verify: "verifying",
  unplug: "unplugging",
  program: "programming",
  "read-back": "reading-back",
  bind: "binding",
  plug: "plugging",
  scrub: "scrubbing",
  "clean-handle": "scrubbing",
  repair: "idle",
  settle: "reading-back",
};

/** Failed attempts that end a generation (design §5). */
export const maxTries = 2;
