import { spawn } from "node:child_process";
import { environment } from "./run-program.ts";

/** Where Debian and Red Hat have it. */
export const udevadmPath = "/usr/bin/udevadm";

/** What tells of devices that come, go and change their driver (host.md §1.8). */
export interface EventOptions {
  /** Absolute path of udevadm. */
  readonly path: string;
  readonly changed: () => void;
  readonly signal: AbortSignal;
}

const monitor = ["monitor", "--udev", "--subsystem-match=pci", "--subsystem-match=platform"];

/**
 * Calls `changed` for every event of udev until the signal. Resolves when udevadm ends, at once on a
 * host without it: then changes are found by the next scan only.
 */
export function deviceEvents({ path, changed, signal }: EventOptions): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const child = spawn(path, monitor, {
      cwd: "/",
      env: environment,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const stop = () => child.kill();
    signal.addEventListener("abort", stop, { once: true });
    const ended = () => {
      signal.removeEventListener("abort", stop);
      resolve();
    };
    child.once("error", ended);
    child.once("close", ended);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      // It introduces itself first; each event is a line `UDEV  [time] action path (subsystem)`.
      if (/^UDEV\s+\[/m.test(text)) changed();
    });
  });
}
