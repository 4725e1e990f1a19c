import type { Clock, Sleep } from "../../agent/runtime.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly ring: () => void;
}

/** Time of its own, for thousands of sleepers: whole milliseconds that pass as fast as the work is done. */
export class VirtualClock {
  #now = 0;
  #order = 0;
  readonly #heap: Timer[] = [];

  readonly clock: Clock = { wall: () => this.#now, monotonic: () => this.#now };

  /** Milliseconds since the start. */
  readonly now = (): number => this.#now;

  readonly sleep: Sleep = (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const ring = () => {
        signal?.removeEventListener("abort", ring);
        resolve();
      };
      this.at(this.#now + ms, ring);
      signal?.addEventListener("abort", ring);
    });

  /** Calls `ring` at a time, not before the next millisecond that passes. */
  at(time: number, ring: () => void): void {
    this.#order += 1;
    push(this.#heap, { at: Math.ceil(time), order: this.#order, ring });
  }

  /** Lets time pass until `end`, and what comes due at one moment be done before the next. */
  async until(end: number): Promise<void> {
    for (;;) {
      await new Promise(setImmediate);
      const [first] = this.#heap;
      if (first === undefined || first.at > end) break;
      this.#now = Math.max(this.#now, first.at);
      while ((this.#heap[0]?.at ?? Number.POSITIVE_INFINITY) <= this.#now) pop(this.#heap)?.ring();
    }
    this.#now = Math.max(this.#now, end);
  }
}

const isBefore = (a: Timer | undefined, b: Timer | undefined): boolean =>
  a !== undefined && (b === undefined || a.at < b.at || (a.at === b.at && a.order < b.order));

function swap(heap: Timer[], a: number, b: number): void {
  const [left, right] = [heap[a], heap[b]];
  if (left === undefined || right === undefined) return;
  heap[a] = right;
  heap[b] = left;
}

function push(heap: Timer[], timer: Timer): void {
  heap.push(timer);
  for (let at = heap.length - 1; at > 0; ) {
    const parent = (at - 1) >> 1;
    if (!isBefore(heap[at], heap[parent])) return;
    swap(heap, at, parent);
    at = parent;
  }
}

function pop(heap: Timer[]): Timer | undefined {
  swap(heap, 0, heap.length - 1);
  const first = heap.pop();
  for (let at = 0; ; ) {
    const left = 2 * at + 1;
    const least = isBefore(heap[left + 1], heap[left]) ? left + 1 : left;
    if (!isBefore(heap[least], heap[at])) return first;
    swap(heap, at, least);
    at = least;
  }
}

/** Uniform in [0, 1), the same in every run (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
