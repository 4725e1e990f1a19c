import { setTimeout as pause } from "node:timers/promises";
import type { DeployableView } from "#protocol/http/deployables";
import type { Caller } from "./caller.ts";
import type { Ledger } from "./ledger.ts";

/** Counters that were seen and may never be seen lower, by what they count. */
export class HighMarks {
  readonly #seen = new Map<string, number>();

  /** Keeps a value; answers the higher one that was seen before, if there is one. */
  see(name: string, value: number): number | undefined {
    const before = this.#seen.get(name) ?? 0;
    this.#seen.set(name, Math.max(before, value));
    return value < before ? before : undefined;
  }
}

/** Holds what a read of the table shows against everything that was read before. */
export function seeDeployables(
  marks: HighMarks,
  ledger: Ledger,
  found: readonly DeployableView[],
): void {
  for (const { id, imageGeneration, revision, handles } of found) {
    const counters = [
      ...handles.map(({ name, fence }) => [`fence of ${id} ${name}`, fence] as const),
      [`image generation of ${id}`, imageGeneration] as const,
      [`revision of ${id}`, revision] as const,
    ];
    for (const [name, value] of counters) {
      const before = marks.see(name, value);
      if (before !== undefined) {
        ledger.violated("counters never fall", `${name}: ${before}, then ${value}`);
      }
    }
  }
}

/** Reads all deployables again and again, one read after the other, until the signal. */
export async function watchFences(
  caller: Caller,
  marks: HighMarks,
  { ledger, over }: { readonly ledger: Ledger; readonly over: AbortSignal },
): Promise<void> {
  while (!over.aborted) {
    const found = await caller.list<DeployableView>("/v1/deployables").catch(() => []);
    seeDeployables(marks, ledger, found);
    await pause(100);
  }
}
