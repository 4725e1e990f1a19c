import type { Clock } from "./runtime.ts";

/**
 * Time as the cloud told it last, carried on by the monotonic clock, so that a host clock that
 * jumps neither breaks connect tokens nor lengthens the life of a permit.
 */
export class TrustedClock {
  readonly #clock: Clock;
  #server: { readonly time: number; readonly at: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes the server's time, ms since the epoch, as of now. */
  learn(serverTime: number): void {
    this.#server = { time: serverTime, at: this.#clock.monotonic() };
  }

  /** What connect tokens are signed at: server time once it is known, else the host's. */
  signingTime(): number {
    return this.#carried() ?? this.#clock.wall();
  }

  /** What permits are judged by: the later of host clock and carried server time (design §7). */
  judgingTime(): number {
    return Math.max(this.#clock.wall(), this.#carried() ?? 0);
  }

  #carried(): number | undefined {
    if (this.#server === undefined) return undefined;
    return Math.floor(this.#server.time + this.#clock.monotonic() - this.#server.at);
  }
}
