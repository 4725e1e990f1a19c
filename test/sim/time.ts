import type { Random } from "./random.ts";

interface Due {
  readonly at: number;
  readonly tie: number;
  readonly order: number;
  readonly run: () => void;
}

/** 2030-01-01T00:00:00Z: where every run begins. */
export const epoch = 1_893_456_000_000;

/**
 * The one clock and the one queue of a run. Between two events every promise that can go on does:
 * so what happens depends on the seed and never on the machine.
 */
export class Time {
  #now = 0;
  #order = 0;
  readonly #heap: Due[] = [];
  readonly #ties: Random;
  readonly #sleepers = new Set<() => void>();
  /** Events that were run. */
  steps = 0;

  constructor(ties: Random) {
    this.#ties = ties;
  }

  /** Ms since the run began. */
  get elapsed(): number {
    return this.#now;
  }

  /** Ms since 1970. */
  readonly wall = (): number => epoch + this.#now;

  /** Runs something in `ms`; what falls on the same moment comes in an order of the seed's. */
  after(ms: number, run: () => void): void {
    const at = this.#now + Math.max(0, Math.ceil(ms));
    this.#push({ at, tie: this.#ties.next(), order: this.#order++, run });
  }

  /** Resolves in `ms`, or at once when the signal aborts. */
  readonly sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      if (signal === undefined) {
        this.after(ms, resolve);
        return;
      }
      const wake = () => {
        forget();
        resolve();
      };
      const forget = () => {
        signal.removeEventListener("abort", wake);
        this.#sleepers.delete(forget);
      };
      this.#sleepers.add(forget);
      signal.addEventListener("abort", wake, { once: true });
      this.after(ms, wake);
    });

  /**
   * Nobody who sleeps now will wake: the run is over. Node keeps a composite signal, and all that can
   * be reached from who listens to it, for as long as somebody does.
   */
  close(): void {
    for (const forget of this.#sleepers) forget();
    this.#heap.length = 0;
  }

  /**
   * Runs events until `isOver`, which is asked before each. Rejects with what an event throws.
   * A microtask that asks for a tick runs the next event: by then no other microtask is left.
   */
  run(isOver: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = () => {
        try {
          if (isOver()) {
            resolve();
            return;
          }
          const due = this.#pop();
          if (due === undefined) {
            resolve();
            return;
          }
          this.#now = due.at;
          this.steps += 1;
          due.run();
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        queueMicrotask(() => process.nextTick(step));
      };
      process.nextTick(step);
    });
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(due);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(due, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = due;
  }

  #pop(): Due | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      const child = smallerChild(heap, index);
      const below = heap[child];
      if (below === undefined || !isBefore(below, last)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function smallerChild(heap: readonly Due[], index: number): number {
  const left = 2 * index + 1;
  const [one, other] = [heap[left], heap[left + 1]];
  return one !== undefined && other !== undefined && isBefore(other, one) ? left + 1 : left;
}

function isBefore(one: Due, other: Due): boolean {
  if (one.at !== other.at) return one.at < other.at;
  return one.tie === other.tie ? one.order < other.order : one.tie < other.tie;
}
