/** Wall clock in ms since the epoch (it may jump) and a monotonic one in ms (it never does). */
export interface Clock {
  readonly wall: () => number;
  readonly monotonic: () => number;
}

/** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** One line of the agent's log. Facts never hold presigned URLs, tokens or keys (host.md §6.2). */
export type Log = (event: string, facts?: Readonly<Record<string, unknown>>) => void;

/** A named place at which a test may end the agent; the real agent has none. */
export type Failpoint = (name: string) => void | Promise<void>;

/** Every effect of the agent that is not hardware, disk or network. */
export interface Runtime {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly sleep: Sleep;
  readonly log: Log;
  readonly failpoint: Failpoint;
}

/** The clock of this process. */
export const systemClock: Clock = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
};

/** Waits on real timers. */
export const systemSleep: Sleep = (ms, signal) =>
  new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
