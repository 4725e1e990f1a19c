import type { Random } from "./random.ts";

/** What can go wrong, by where: each seed has some of it, none of it, or all of it. */
export const faultKinds = [
  /** The table refuses before it does anything. */
  "throttle",
  /** A transaction meets another one. */
  "conflict",
  /** The table does what it was asked and the answer is lost. */
  "timeout",
  /** The answer is lost, and what was asked is done seconds later. */
  "late-write",
  /** Indexes, and reads that ask for no consistency, are seconds behind. */
  "index-lag",
  /** A function ends between two of its table calls. */
  "function-crash",
  "stream-late",
  "stream-double",
  /** The sweep does not come. */
  "sweep-skip",
  "frame-drop",
  "frame-double",
  "frame-delay",
  "link-cut",
  /** A socket that one side believes in and the other does not. */
  "link-half-open",
  /** The agent process ends at one of its calls to disk, kernel or hypervisor. */
  "agent-crash",
  /** Power off and on: another boot id, nothing that was not synced. */
  "reboot",
  "disk-full",
  /** The state folder of an agent is gone or damaged. */
  "disk-loss",
  "download",
  "program-failure",
  /** A hypervisor refuses to plug or to unplug. */
  "plug-failure",
  "program-hang",
  "card-vanish",
  "card-degraded",
  /** A host's clock jumps. */
  "clock-jump",
  /** The bucket refuses, also what it has done. */
  "bucket",
  "event-late",
  "event-double",
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** Highest share of calls that go wrong, for kinds that are drawn call by call. */
const highest: Partial<Record<FaultKind, number>> = {
  throttle: 0.03,
  conflict: 0.08,
  timeout: 0.02,
  "late-write": 0.01,
  "index-lag": 0.5,
  "function-crash": 0.01,
  "stream-late": 0.2,
  "stream-double": 0.2,
  "sweep-skip": 0.3,
  "frame-drop": 0.1,
  "frame-double": 0.1,
  "frame-delay": 0.3,
  "disk-full": 0.05,
  download: 0.3,
  "program-failure": 0.2,
  "plug-failure": 0.2,
  bucket: 0.3,
  "event-late": 0.3,
  "event-double": 0.3,
};

/** The faults of one run: how often, and whether at all any more. */
export class Faults {
  readonly #rates: ReadonlyMap<FaultKind, number>;
  #isOver = false;

  /** Each of `allowed` is on with a chance of one half, as often as the seed says. */
  constructor(random: Random, allowed: readonly FaultKind[]) {
    this.#rates = new Map(
      faultKinds.flatMap((kind): [FaultKind, number][] => {
        const [isOn, share] = [random.chance(0.5), random.next()];
        return isOn && allowed.includes(kind) ? [[kind, share * (highest[kind] ?? 1)]] : [];
      }),
    );
  }

  /** Kinds that this run has. */
  get kinds(): readonly FaultKind[] {
    return [...this.#rates.keys()];
  }

  has(kind: FaultKind): boolean {
    return !this.#isOver && this.#rates.has(kind);
  }

  /** True when this call goes wrong in this way. */
  strikes(kind: FaultKind, random: Random): boolean {
    return !this.#isOver && random.chance(this.#rates.get(kind) ?? 0);
  }

  /** From now on everything works. */
  stop(): void {
    this.#isOver = true;
  }
}
