import { setTimeout as timer } from "node:timers/promises";

/** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** The host's clock. A pending sleep does not keep the process alive. */
export const realSleep: Sleep = (ms, signal) =>
  timer(ms, undefined, { ref: false, ...(signal && { signal }) }).catch(() => undefined);

/** A limit on waiting: how long, by which clock, and what to throw when it is over. */
export interface Deadline {
  readonly ms: number;
  readonly sleep: Sleep;
  readonly late: () => Error;
}

/**
 * Waits for `work`, at most until the deadline. The work itself goes on after that: what is blocked
 * in a kernel cannot be stopped (host.md §3.1).
 */
export async function withDeadline<T>(work: Promise<T>, deadline: Deadline): Promise<T> {
  const done = new AbortController();
  const late = deadline.sleep(deadline.ms, done.signal).then(() => {
    throw deadline.late();
  });
  // Whichever loses the race may still reject, with nobody left to listen.
  late.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort();
  }
}
