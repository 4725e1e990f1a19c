import type { Runtime } from "../runtime.ts";

const firstWindow = 1000;
/** A try comes at worst two windows after the one before: all are back within 90 s of an outage. */
const longestWindow = 45_000;
/** Longest window a cloud can ask for: no answer of it keeps a host away for long. */
const longestAsked = 10 * 60_000;

/** Least wait after this host was replaced by a newer session or refused for good, ms. */
const penaltyMs = 60_000;

/**
 * Windowed uniform jitter (design §6): each try comes at a random point of a window of 1 s × 2ⁿ,
 * at most 45 s, and the rest of the window is waited out, since sums of jitters would bunch up. A
 * cloud with many hosts says how wide a window must be, because all of them may be cut off at once.
 */
export class Backoff {
  readonly #runtime: Runtime;
  #failures = 0;
  #rest = 0;
  #narrowest = firstWindow;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Waits until the next try is due; the first one is due at once. */
  async turn(signal: AbortSignal): Promise<void> {
    if (this.#failures === 0) return;
    const window = this.#window();
    const into = this.#runtime.random() * window;
    await this.#runtime.sleep(this.#rest + into, signal);
    this.#rest = window - into;
  }

  /** Takes the narrowest window the cloud asked for, ms; without one a second is enough again. */
  learn(reconnectMs: number | undefined): void {
    this.#narrowest = Math.min(Math.max(reconnectMs ?? 0, firstWindow), longestAsked);
  }

  failed(): void {
    this.#failures = Math.min(this.#failures + 1, 16);
  }

  succeeded(): void {
    this.#failures = 0;
    this.#rest = 0;
  }

  #window(): number {
    const grown = this.#narrowest * 2 ** (this.#failures - 1);
    return Math.min(grown, Math.max(longestWindow, this.#narrowest));
  }

  /** Waits 60 to 120 s, for ends that a quick reconnect would only repeat. */
  async penalty(signal: AbortSignal): Promise<void> {
    await this.#runtime.sleep(penaltyMs * (1 + this.#runtime.random()), signal);
  }
}
