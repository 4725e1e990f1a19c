import { watch } from "node:fs";
import { pause } from "./pause.ts";

/** Tells when a file is written to. */
export interface FileWatch {
  /** Waits for a write, and a little longer than one takes to become visible. */
  wait(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** After a write the file is looked at each `attentive.every` ms for `attentive.during` ms. */
const attentive = { every: 1, during: 50 };
/**
 * Watches SQLite's log. Looking at it every few milliseconds would be simpler, but it costs 2 %
 * of a processor while nothing happens. The kernel tells of the write, yet the transaction
 * becomes visible to others only after the fsync that follows: hence the attention afterwards.
 * Every `idleMs` there is a look without any reason, should the kernel's word have been lost.
 */
export function watchFile(file: string, idleMs = 100): FileWatch {
  let written = Number.NEGATIVE_INFINITY;
  const wakes = new Set<() => void>();
  const watcher = watch(file, () => {
    written = performance.now();
    for (const wake of wakes) wake();
  });
  // Whatever goes wrong with watching, the idle look still finds every change.
  watcher.on("error", () => watcher.close());
  return {
    wait: async (signal) => {
      if (performance.now() - written < attentive.during) return pause(attentive.every, signal);
      const woken = new AbortController();
      const wake = () => woken.abort();
      wakes.add(wake);
      await pause(idleMs, AbortSignal.any([signal, woken.signal]));
      wakes.delete(wake);
    },
    close: () => watcher.close(),
  };
}
