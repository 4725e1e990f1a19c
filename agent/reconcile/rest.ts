import type { WireError } from "#protocol/wire/shapes";
import { maxTries, type StepOf } from "./step.ts";

type HandleStep = StepOf<"bind" | "plug" | "unplug" | "clean-handle">;

interface Resting {
  readonly wish: string;
  readonly kind: HandleStep["kind"];
  readonly tries: number;
  /** Monotonic ms; Infinity = until the wish for this handle changes. */
  readonly until: number;
  readonly error: WireError;
}

/** First wait after a failed step; it doubles up to the cap, both ms. */
const firstWait = 1000;
const longestWait = 60_000;

/**
 * Handles whose last step failed. A plug ends after its tries; an unplug or a clean-up is tried for
 * ever, since a handle must come back however long a guest or a host is dead (design §4).
 */
export class Rest {
  readonly #monotonic: () => number;
  readonly #handles = new Map<string, Resting>();

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /** Notes a failure; `counted: false` for what only needs time (IN_USE, DISK_FULL). */
  failed(step: HandleStep, wish: string, error: WireError, counted: boolean): void {
    const last = this.#handles.get(step.handle);
    const same = last?.wish === wish && last.kind === step.kind;
    const tries = (same ? last.tries : 0) + 1;
    const ends = counted && (step.kind === "plug" || step.kind === "bind") && tries >= maxTries;
    const wait = Math.min(firstWait * 2 ** Math.min(tries - 1, 10), longestWait);
    const until = ends ? Number.POSITIVE_INFINITY : this.#monotonic() + wait;
    this.#handles.set(step.handle, { wish, kind: step.kind, tries, until, error });
  }

  succeeded(handle: string): void {
    this.#handles.delete(handle);
  }

  /** Forgets failures of handles whose wish is another one now. */
  renew(wishes: Readonly<Record<string, string>>): void {
    for (const [handle, { wish }] of this.#handles) {
      if (wishes[handle] !== wish) this.#handles.delete(handle);
    }
  }

  /** Handles to leave alone now. */
  resting(): ReadonlySet<string> {
    const now = this.#monotonic();
    return new Set([...this.#handles].filter(([, { until }]) => until > now).map(([name]) => name));
  }

  /** Ms until the first handle may be tried again; undefined when none will. */
  nextIn(): number | undefined {
    const waits = [...this.#handles.values()]
      .map(({ until }) => until - this.#monotonic())
      .filter((wait) => wait > 0 && Number.isFinite(wait));
    return waits.length === 0 ? undefined : Math.min(...waits);
  }

  errorOf(handle: string): WireError | undefined {
    return this.#handles.get(handle)?.error;
  }
}
