import type { ChildProcess } from "node:child_process";
import { readFile } from "node:fs/promises";

/** User and system time of a process in seconds (proc(5): fields 14 and 15, in ticks of 10 ms). */
export async function cpuSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function rollup(pid: number): Promise<(name: string) => number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  return (name) => {
    const [, kibibytes] = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text) ?? [];
    if (kibibytes === undefined) throw new Error(`process ${pid} says no ${name}`);
    return Number(kibibytes) / 1024;
  };
}

/** What a process takes of memory, shared pages by its share, in MiB. */
export async function pssMiB(pid: number): Promise<number> {
  return (await rollup(pid))("Pss");
}

/**
 * What processes of one program would take together with no other Node beside them, in MiB: their own
 * pages, and the shared ones once. PSS alone gains from every other Node that runs meanwhile.
 */
export async function aloneMiB(pids: readonly number[]): Promise<number> {
  const all = await Promise.all(pids.map(rollup));
  const own = all.map((of) => of("Private_Clean") + of("Private_Dirty"));
  const shared = all.map((of) => of("Shared_Clean") + of("Shared_Dirty"));
  return own.reduce((sum, one) => sum + one, 0) + Math.max(...shared);
}

/** Ids of the processes that a process started and that still run. */
export async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.trim().split(" ").filter(Boolean).map(Number);
}

/** Resolves when a process ends well; rejects when it does not. */
export function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`the agent ended with ${code}`));
    });
  });
}

/** Ends a process and waits for that. */
export async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await gone;
}
