import { setTimeout as realTimeout } from "node:timers/promises";
import type { Clock, Sleep } from "../../../agent/runtime.ts";

interface Timer {
  readonly at: number;
  readonly ring: () => void;
}

/** Time that passes only when a test says so, or while it waits for something. */
export class VirtualTime {
  #now = 0;
  /** What the wall clock shows beside elapsed time; tests move it to make the clock jump. */
  wallBase = Date.UTC(2030, 0, 1);
  readonly #timers = new Set<Timer>();

  readonly clock: Clock = {
    wall: () => this.wallBase + this.#now,
    monotonic: () => this.#now,
  };

  readonly sleep: Sleep = (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const ring = () => {
        this.#timers.delete(timer);
        signal?.removeEventListener("abort", ring);
        resolve();
      };
      const timer = { at: this.#now + ms, ring };
      this.#timers.add(timer);
      signal?.addEventListener("abort", ring);
    });

  /** Lets `ms` pass, timer by timer. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#now = Math.max(this.#now, due.at);
      due.ring();
      await new Promise(setImmediate);
    }
    this.#now = end;
  }

  /** Lets time pass in steps of `ms` until `done`; throws with `what` when it never comes. */
  async until(done: () => boolean, what: string, ms = 20): Promise<void> {
    for (let step = 0; step < 5000; step++) {
      if (done()) return;
      await realTimeout(1);
      await this.advance(ms);
    }
    throw new Error(`never came: ${what}`);
  }

  /** Gives files and promises a moment without letting time pass. */
  async settle(rounds = 20): Promise<void> {
    for (let round = 0; round < rounds; round++) await realTimeout(1);
  }
}
