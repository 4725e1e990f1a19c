import type { Sleep } from "../../agent/host/deadline.ts";

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/**
 * Time that passes only when everything else waits: whenever the event loop is idle, the earliest
 * sleeper wakes. Nothing that runs under it depends on how fast the machine is.
 */
export function virtualClock(): { readonly sleep: Sleep; readonly now: () => number } {
  let now = 0;
  let ticking = false;
  const sleepers = new Set<Sleeper>();
  const tick = () => {
    ticking = false;
    const [first] = [...sleepers].sort((a, b) => a.at - b.at);
    if (!first) return;
    sleepers.delete(first);
    now = first.at;
    first.wake();
    start();
  };
  const start = () => {
    if (ticking || sleepers.size === 0) return;
    ticking = true;
    setImmediate(tick);
  };
  const sleep: Sleep = (ms, signal) =>
    new Promise((resolve) => {
      const sleeper = { at: now + ms, wake: resolve };
      const end = () => {
        sleepers.delete(sleeper);
        resolve();
      };
      if (signal?.aborted === true) return resolve();
      signal?.addEventListener("abort", end, { once: true });
      sleepers.add(sleeper);
      start();
    });
  return { sleep, now: () => now };
}
