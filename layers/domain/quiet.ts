import { deployableEvents } from "./audit.ts";
import { type Deployable, isOfferable } from "./deployable.ts";
import { sameContent } from "./same.ts";

/**
 * True when a change is a step of work under way and no more: nothing is to be pushed, told or written
 * down because of it. Most reports of a program and of a scrub are such steps.
 */
export function isQuiet(before: Deployable, after: Deployable): boolean {
  return (
    sameContent({ ...before, ...steps }, { ...after, ...steps }) &&
    isOfferable(before) === isOfferable(after) &&
    deployableEvents(before, after).length === 0
  );
}

/** What the steps of a program or scrub change; whoever shows them reads the row. */
const steps = {
  phase: undefined,
  clean: undefined,
  reported: undefined,
  revision: undefined,
  updatedAt: undefined,
};
