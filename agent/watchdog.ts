import { execFile } from "node:child_process";
import type { Log, Sleep } from "./runtime.ts";

const notifyPath = "/usr/bin/systemd-notify";

/** Tells systemd something; Node has no datagram unix sockets, so its own tool does it. */
export type Notify = (state: string) => Promise<void>;

/** Notifies the systemd that started this process; does nothing elsewhere. */
export function systemdNotify(env: Readonly<Record<string, string | undefined>>, log: Log): Notify {
  const socket = env["NOTIFY_SOCKET"];
  if (socket === undefined || socket === "") return async () => undefined;
  return (state) =>
    new Promise((resolve) => {
      execFile(notifyPath, [state], { env: { NOTIFY_SOCKET: socket }, cwd: "/" }, (error) => {
        if (error !== null) log("notify-failed", { state, error: error.message });
        resolve();
      });
    });
}

/** Ms between two feeds: a third of systemd's own limit; undefined when it set none. */
export function watchdogInterval(
  env: Readonly<Record<string, string | undefined>>,
): number | undefined {
  const limit = Number(env["WATCHDOG_USEC"] ?? "0") / 1000;
  return Number.isFinite(limit) && limit > 0 ? limit / 3 : undefined;
}

/**
 * Feeds the watchdog while the agent's loops are alive. A lost network is no reason to stop feeding:
 * a restart would not bring it back (peers.md §3.2).
 */
export async function feedWatchdog(
  notify: Notify,
  isAlive: () => boolean,
  pace: { readonly every: number; readonly sleep: Sleep; readonly signal: AbortSignal },
): Promise<void> {
  while (!pace.signal.aborted) {
    if (isAlive()) await notify("WATCHDOG=1");
    await pace.sleep(pace.every, pace.signal);
  }
}
