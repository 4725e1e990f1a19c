import type { Phase } from "#protocol/wire/messages";
import type { Site } from "./site.ts";
import { type Plan, phaseOf, type Reality } from "./step.ts";

/** The phase a plan is told by: the step's own word, or how the newest generation ended. */
export function phaseFor(next: Plan, site: Site, reality: Reality): Phase {
  if (next.kind !== "done" && next.kind !== "blocked") return phaseOf[next.kind];
  const { work } = site.marks;
  if (work?.outcome === "failed") return "failed";
  if (work?.outcome === "ready") return isMet(site, reality) ? "ready" : "idle";
  // A bind that waits for a stuck card should fail now, not at its deadline.
  if (site.journal.stuck !== undefined) return "failed";
  return next.kind === "blocked" ? "unplugging" : "idle";
}

/** Before any wish of this run, "ready" is said only when the card still says what we loaded. */
function isMet({ wish, marks }: Site, { loaded }: Reality): boolean {
  const wanted = wish === undefined ? marks.loaded?.functionId : wish.image?.functionId;
  return wanted === undefined || wanted === loaded.functionId;
}
