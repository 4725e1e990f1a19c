import type { Memory, Reality } from "./step.ts";

/** True while a handle may be in a guest: plugged by us under this boot, or held by anybody. */
export function isOccupied(name: string, reality: Reality, memory: Memory): boolean {
  const plug = memory.journal.handles[name]?.plug;
  if (plug !== undefined && plug.bootId === reality.bootId) return true;
  return (reality.handles[name]?.holders.length ?? 0) > 0;
}

/** All handles of the deployable that may be in a guest. */
export function occupiedHandles(reality: Reality, memory: Memory): readonly string[] {
  const names = new Set([...Object.keys(reality.handles), ...Object.keys(memory.journal.handles)]);
  return [...names].sort().filter((name) => isOccupied(name, reality, memory));
}

/** A sentence that names who holds the handles, for IN_USE. */
export function heldBy(names: readonly string[], reality: Reality): string {
  const holders = names.flatMap((name) =>
    (reality.handles[name]?.holders ?? []).map(({ pid, command }) => `${command} (${pid})`),
  );
  const by = holders.length === 0 ? "a guest" : holders.join(", ");
  return `${names.join(", ")} held by ${by}`;
}
