import type { Runtime } from "../runtime.ts";

const firstWindow = 1000;
const longestWindow = 60_000;

/** Least wait after this host was replaced by a newer session or refused for good, ms. */
const penaltyMs = 60_000;

/**
 * Windowed uniform jitter (design §6): each try comes at a random point of a window of 1 s × 2ⁿ,
 * at most 60 s, and the rest of the window is waited out, since sums of jitters would bunch up.
 */
export class Backoff {
  readonly #runtime: Runtime;
  #failures = 0;
  #rest = 0;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Waits until the next try is due; the first one is due at once. */
  async turn(signal: AbortSignal): Promise<void> {
    if (this.#failures === 0) return;
    const window = Math.min(firstWindow * 2 ** (this.#failures - 1), longestWindow);
    const into = this.#runtime.random() * window;
    await this.#runtime.sleep(this.#rest + into, signal);
    this.#rest = window - into;
  }

  failed(): void {
    this.#failures = Math.min(this.#failures + 1, 16);
  }

  succeeded(): void {
    this.#failures = 0;
    this.#rest = 0;
  }

  /** Waits 60 to 120 s, for ends that a quick reconnect would only repeat. */
  async penalty(signal: AbortSignal): Promise<void> {
    await this.#runtime.sleep(penaltyMs * (1 + this.#runtime.random()), signal);
  }
}
