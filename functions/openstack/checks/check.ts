import { isFault } from "#domain/faults";
import type { CheckView } from "#protocol/http/openstack";

/** One thing an operator wants to know; it may find several things to say. */
export interface Check {
  readonly name: string;
  readonly look: () => Promise<readonly Finding[]>;
}

export type Finding = Omit<CheckView, "name">;

/** The gateway ends a request after 29 s: what takes longer is said to take long. */
const longestMs = 20_000;

export const ok = (text: string): Finding => ({ state: "ok", text });
export const skipped = (text: string): Finding => ({ state: "skipped", text });
export const warning = (text: string, todo: string): Finding => ({ state: "warning", text, todo });
export const failed = (text: string, todo: string): Finding => ({ state: "failed", text, todo });

/** What to do when a service does not answer at all. */
const unreachable =
  "see that the service runs and that the functions reach its endpoint; docs/openstack.md";

/**
 * Looks at everything side by side. A check that cannot look has failed with the reason, and one that
 * takes too long with that; none holds up the others.
 */
export async function lookAtAll(checks: readonly Check[]): Promise<readonly CheckView[]> {
  const found = await Promise.all(
    checks.map(async ({ name, look }) => {
      const findings = await Promise.race([safely(look), inTime()]);
      return findings.map((finding): CheckView => ({ name, ...finding }));
    }),
  );
  return found.flat();
}

async function safely(look: Check["look"]): Promise<readonly Finding[]> {
  try {
    return await look();
  } catch (error) {
    if (isFault(error)) return [failed(error.message, unreachable)];
    console.error(error);
    const text = error instanceof Error ? error.message : String(error);
    return [failed(text, "look at the function's log")];
  }
}

async function inTime(): Promise<readonly Finding[]> {
  return await new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve([failed(`no answer in ${longestMs / 1000} s`, unreachable)]);
    }, longestMs);
    timer.unref();
  });
}

const severity = ["skipped", "ok", "warning", "failed"] as const;

/** The worst of all. */
export function worst(checks: readonly Pick<CheckView, "state">[]): CheckView["state"] {
  const ranks = checks.map(({ state }) => severity.indexOf(state));
  return severity[Math.max(0, ...ranks)] ?? "skipped";
}

/** Names for a sentence: the first few, and how many more there are. */
export function named(names: readonly string[], most = 10): string {
  const more = names.length - most;
  return more > 0 ? `${names.slice(0, most).join(", ")} and ${more} more` : names.join(", ");
}
